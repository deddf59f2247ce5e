/*
 * Writing image files: framed records are collected in memory, then one open, one write and one close make the file.
 */
#include "image/image-write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"

#define REPLACE_TRIES 3

int image_write_error(struct image_set *set, const char *name, int r, struct error *err)
{
	const char *where = set->path ? set->path : "the image directory";

	if (r == -ENOSPC) {
		(void)error_say(err, r, "cannot write %s: the file system of %s is full", name, where);
		error_hint(err, "make room, or choose a directory on another file system");
	} else if (r == -EDQUOT) {
		(void)error_say(err, r, "cannot write %s: the disk quota for %s is used up", name, where);
	} else {
		(void)error_set(err, r, "cannot write %s in %s", name, where);
		if (r == -EFBIG)
			error_hint(err, "raise the limit of file sizes (ulimit -f), or choose another file system");
	}
	return r;
}

/*
 * Always a file of our own: the directory may belong to somebody else, who could have put there a link to another file,
 * a fifo, or a file that he may read and change.
 */
static int open_new(int dirfd, const char *name)
{
	for (int tries = 0; tries < REPLACE_TRIES; tries++) {
		int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return -errno;
		if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return -EEXIST;
}

static int create_file(struct image_set *set, enum image_kind kind, const char *name, int *ret_fd, struct error *err)
{
	int fd, r;

	r = image_set_announce(set, kind, name);
	if (r < 0)
		return error_set(err, r, "create %s", name);
	fd = open_new(set->dirfd, name);
	if (fd < 0)
		return image_write_error(set, name, fd, err);
	*ret_fd = fd;
	return 0;
}

/* Some file systems tell only here that the bytes have no place. */
static int close_written(int *fd)
{
	int r = close(*fd) < 0 && errno != EINTR ? -errno : 0;

	*fd = -1;
	return r;
}

static int append_u32(struct buffer *b, uint32_t value)
{
	return buffer_append(b, &value, sizeof(value));
}

static int append_magic(struct image_writer *w)
{
	const struct image_type *type = image_type(w->kind);
	int r = 0;

	if (type->framing == IMAGE_FRAMING_COMMON)
		r = append_u32(&w->buffer, IMAGE_MAGIC_COMMON);
	else if (type->framing == IMAGE_FRAMING_SERVICE)
		r = append_u32(&w->buffer, IMAGE_MAGIC_SERVICE);
	return r < 0 ? r : append_u32(&w->buffer, type->magic);
}

static int append_record(struct buffer *b, const ProtobufCMessage *message)
{
	size_t bytes = protobuf_c_message_get_packed_size(message);
	int r;

	if (bytes > UINT32_MAX)
		return -EFBIG;
	r = buffer_reserve(b, bytes + sizeof(uint32_t));
	if (r < 0)
		return r;
	r = append_u32(b, (uint32_t)bytes);
	if (r < 0)
		return r;
	b->bytes += protobuf_c_message_pack(message, (uint8_t *)b->data + b->bytes);
	return 0;
}

static bool kind_has_message(const struct image_type *type, const ProtobufCMessageDescriptor *descriptor)
{
	return descriptor &&
	       (descriptor == type->message || descriptor == type->head || descriptor == type->sub_message);
}

void image_writer_open(struct image_writer *w, struct image_set *set, enum image_kind kind, uint64_t id)
{
	w->set = set;
	w->kind = kind;
	w->records = 0;
	w->fd = -1;
	w->buffer.bytes = 0;
	image_name(kind, id, w->name);
}

int image_writer_add(struct image_writer *w, const void *message, struct error *err)
{
	const ProtobufCMessage *base = message;
	int r = 0;

	if (!kind_has_message(image_type(w->kind), base->descriptor))
		return error_say(err, -EINVAL, "%s: a message that does not belong there", w->name);
	if (w->records == 0)
		r = append_magic(w);
	if (r == 0)
		r = append_record(&w->buffer, base);
	if (r < 0)
		return error_set(err, r, "build %s", w->name);
	w->records++;
	return 0;
}

int image_writer_add_raw(struct image_writer *w, const void *data, size_t bytes, struct error *err)
{
	int r = buffer_reserve(&w->buffer, bytes);

	if (r < 0)
		return error_set(err, r, "build %s", w->name);
	if (data)
		return buffer_append(&w->buffer, data, bytes);
	if (bytes)
		memset(w->buffer.data + w->buffer.bytes, 0, bytes);
	w->buffer.bytes += bytes;
	return 0;
}

int image_writer_add_payload(struct image_writer *w, const void *message, const void *data, size_t bytes,
			     struct error *err)
{
	int r = image_writer_add(w, message, err);

	return r < 0 ? r : image_writer_add_raw(w, data, bytes, err);
}

int image_writer_flush(struct image_writer *w, struct error *err)
{
	int r;

	if (w->fd < 0) {
		r = create_file(w->set, w->kind, w->name, &w->fd, err);
		if (r < 0)
			return r;
	}
	r = write_all(w->fd, w->buffer.data, w->buffer.bytes);
	if (r < 0)
		return image_write_error(w->set, w->name, r, err);
	w->buffer.bytes = 0;
	return 0;
}

static int remove_stale(struct image_set *set, const char *name, struct error *err)
{
	if (unlinkat(set->dirfd, name, 0) < 0 && errno != ENOENT)
		return error_set(err, -errno, "cannot remove the old %s", name);
	return 0;
}

int image_writer_finish(struct image_writer *w, struct error *err)
{
	int r;

	if (w->fd < 0 && w->records == 0)
		return remove_stale(w->set, w->name, err);
	r = image_writer_flush(w, err);
	if (r < 0)
		return r;
	r = close_written(&w->fd);
	if (r < 0)
		return image_write_error(w->set, w->name, r, err);
	image_writer_done(w);
	return 0;
}

void image_writer_done(struct image_writer *w)
{
	close_fd(&w->fd);
	buffer_done(&w->buffer);
	w->records = 0;
}

int image_write_one(struct image_set *set, enum image_kind kind, uint64_t id, const void *message, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	int r;

	image_writer_open(&w, set, kind, id);
	r = image_writer_add(&w, message, err);
	return r < 0 ? r : image_writer_finish(&w, err);
}

int image_create_raw(struct image_set *set, enum image_kind kind, uint64_t id, int *ret_fd, struct error *err)
{
	char name[IMAGE_NAME_MAX];

	image_name(kind, id, name);
	return create_file(set, kind, name, ret_fd, err);
}
