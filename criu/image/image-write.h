/*
 * Writing image files. A file is built in memory and written at once: open, write, close. A message whose descriptor
 * the kind does not have is refused. Errors are -errno with a sentence that names the file.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "image/image-set.h"
#include "image/image-types.h"

/* A file of one record; message is any generated message: image_write_one(set, IMAGE_CORE, tid, &core, err). */
int image_write_one(struct image_set *set, enum image_kind kind, uint64_t id, const void *message, struct error *err);

/*
 * A file of several records. A list that ends up empty makes no file, and one left over from before is removed.
 *
 *	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
 *
 *	image_writer_open(&w, set, IMAGE_FDINFO, files_id);
 *	...
 *	r = image_writer_add(&w, &entry, err);
 *	...
 *	return image_writer_finish(&w, err);
 */
struct image_writer {
	struct image_set *set;
	enum image_kind kind;
	char name[IMAGE_NAME_MAX];
	struct buffer buffer;
	uint64_t records;
	int fd; /* -1 until the first flush */
};

#define IMAGE_WRITER_INIT                                                                                              \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}

void image_writer_open(struct image_writer *w, struct image_set *set, enum image_kind kind, uint64_t id);
int image_writer_add(struct image_writer *w, const void *message, struct error *err);

/* A record and the raw bytes that follow it. */
int image_writer_add_payload(struct image_writer *w, const void *message, const void *data, size_t bytes,
			     struct error *err);

/* More raw bytes; zeros when data is NULL. */
int image_writer_add_raw(struct image_writer *w, const void *data, size_t bytes, struct error *err);

/*
 * Writes out what has been added so far, so that a payload too large for memory can be put behind it through w->fd
 * (which stays the writer's).
 */
int image_writer_flush(struct image_writer *w, struct error *err);
int image_writer_finish(struct image_writer *w, struct error *err);

/* Drops a writer that was not finished; after image_writer_finish() there is nothing left to do. */
void image_writer_done(struct image_writer *w);

#define AUTO_IMAGE_WRITER __attribute__((cleanup(image_writer_done)))

/* Creates a raw image (pages, archives); the caller fills and closes it. */
int image_create_raw(struct image_set *set, enum image_kind kind, uint64_t id, int *ret_fd, struct error *err);

/* The sentence for a write that failed with r on a file of the set: says what ENOSPC and its like mean. Returns r. */
int image_write_error(struct image_set *set, const char *name, int r, struct error *err);
