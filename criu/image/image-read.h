/*
 * Reading image files. They are input from a stranger: whatever is damaged becomes -EBADMSG and a sentence such as
 * "core-12.img: record 3 at byte 120: truncated".
 *
 * A file that is not there is -ENOENT without a sentence: for nearly all kinds that means an empty list.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "image/image-message.h"
#include "image/image-set.h"
#include "image/image-types.h"

/*
 * ret_message is the address of a pointer to the message type that descriptor stands for; it is freed by
 * image_message_free():
 *
 *	CoreEntry *core;
 *
 *	r = image_read_one(set, IMAGE_CORE, tid, &core_entry__descriptor, &core, err);
 */
int image_read_one(const struct image_set *set, enum image_kind kind, uint64_t id,
		   const ProtobufCMessageDescriptor *descriptor, void *ret_message, struct error *err);

/* The same where the set is damaged without the file: -EBADMSG, "core-12.img is missing". */
int image_read_required(const struct image_set *set, enum image_kind kind, uint64_t id,
			const ProtobufCMessageDescriptor *descriptor, void *ret_message, struct error *err);

/*
 * The same for one of many files of a kind. Descriptors of those that were read are closed together, a run of numbers
 * at a time.
 */
struct image_closing {
	int fds[64];
	size_t count;
};

int image_read_required_of_many(const struct image_set *set, enum image_kind kind, uint64_t id,
				const ProtobufCMessageDescriptor *descriptor, struct image_closing *closing,
				void *ret_message, struct error *err);
void image_closing_done(struct image_closing *closing);

#define AUTO_IMAGE_CLOSING __attribute__((cleanup(image_closing_done)))

/* All records of a file without payloads. An absent file is an empty list, without items. */
struct image_list {
	void **items;
	size_t count;
};

int image_read_list(const struct image_set *set, enum image_kind kind, uint64_t id,
		    const ProtobufCMessageDescriptor *descriptor, struct image_list *ret_list, struct error *err);
void image_list_done(struct image_list *list);

/* The same for thousands of records: they are in the arena, which must outlive them, and only items is the caller's. */
int image_read_list_into(const struct image_set *set, enum image_kind kind, uint64_t id,
			 const ProtobufCMessageDescriptor *descriptor, struct arena *arena, struct image_list *ret_list,
			 struct error *err);

/* Record by record:
 *
 *	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
 *
 *	r = image_reader_open(&reader, set, IMAGE_PIPES_DATA, 0, err);
 *	while ((r = image_reader_next(&reader, &pipe_data_entry__descriptor, &entry, err)) > 0)
 *		r = image_reader_payload(&reader, entry->bytes, &data, err);
 */
struct image_reader {
	enum image_kind kind;
	char name[IMAGE_NAME_MAX];
	int fd;
	uint64_t file_bytes;
	uint64_t position;  /* of the next byte to take */
	uint64_t record;    /* number of the record read last, from 1 */
	uint64_t record_at; /* and its position */
	uint64_t window_at; /* part of the file that is in memory */
	struct buffer window;
	struct arena *arena;           /* where messages are; NULL: each is the caller's */
	struct image_closing *closing; /* closes the descriptor; NULL: it is closed with the reader */
};

#define IMAGE_READER_INIT                                                                                              \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}

/* Opens the file and checks its magic. */
int image_reader_open(struct image_reader *r, const struct image_set *set, enum image_kind kind, uint64_t id,
		      struct error *err);

/* 1 and a message (owned by the caller, unless there is an arena), or 0 at the end of the file. */
int image_reader_next(struct image_reader *r, const ProtobufCMessageDescriptor *descriptor, void *ret_message,
		      struct error *err);

/* The raw bytes that follow the record. They stay where they are until the next call. */
int image_reader_payload(struct image_reader *r, uint64_t bytes, const void **ret_data, struct error *err);

/* The same, into memory of the caller's: for what is kept and may be large. */
int image_reader_copy(struct image_reader *r, uint64_t bytes, void *to, struct error *err);

/* Skips raw bytes, all in the file, whose place is then known: for what is too large to be read into memory. */
int image_reader_skip(struct image_reader *r, uint64_t bytes, uint64_t *ret_offset, struct error *err);

/* How many bytes are left in the file. */
uint64_t image_reader_left(const struct image_reader *r);

/* Puts "FILE: record N at byte M: " in front of a sentence about the record read last. Returns -EBADMSG. */
int image_reader_bad(const struct image_reader *r, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void image_reader_done(struct image_reader *r);

#define AUTO_IMAGE_READER __attribute__((cleanup(image_reader_done)))

/* Opens a raw image: O_RDONLY, or O_RDWR where pages are to be punched out after reading. */
int image_open_raw(const struct image_set *set, enum image_kind kind, uint64_t id, int flags, int *ret_fd,
		   uint64_t *ret_bytes, struct error *err);
