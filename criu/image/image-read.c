/*
 * Reading image files, record by record. A small file is read at once; of a large one a window is in memory, so that
 * payloads of any size can be passed over.
 */
#include "image/image-read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"

/* The address space of a program with a million mappings fits in; a length beyond is damage. */
#define MESSAGE_BYTES_MAX (64u << 20)

#define WINDOW_BYTES (256u << 10)
#define SMALL_BYTES  (16u << 10)

int image_reader_bad(const struct image_reader *r, struct error *err, const char *format, ...)
{
	char reason[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return error_say(err, -EBADMSG, "%s: record %" PRIu64 " at byte %" PRIu64 ": %s", r->name, r->record,
			 r->record_at, reason);
}

/* --- descriptors that are closed together ------------------------------------------------------------------------ */

/* Before Linux 5.9 there is no call for several. */
static void close_run(int first, int last)
{
	if (close_range((unsigned int)first, (unsigned int)last, 0) == 0)
		return;
	for (int fd = first; fd <= last; fd++)
		(void)close(fd);
}

/* The lowest free number is taken first, so that they ascend. */
void image_closing_done(struct image_closing *closing)
{
	for (size_t i = 0, next; i < closing->count; i = next) {
		for (next = i + 1; next < closing->count; next++)
			if (closing->fds[next] != closing->fds[next - 1] + 1)
				break;
		close_run(closing->fds[i], closing->fds[next - 1]);
	}
	closing->count = 0;
}

static void close_later(struct image_closing *closing, int fd)
{
	closing->fds[closing->count++] = fd;
	if (closing->count == ARRAY_SIZE(closing->fds))
		image_closing_done(closing);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* Without O_NONBLOCK a fifo of that name would make us wait for ever. */
static int try_open(const struct image_set *set, const char *name, int flags)
{
	return openat(set->dirfd, name, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int open_image(const struct image_set *set, const char *name, int flags, struct image_closing *closing,
		      int *ret_fd, struct error *err)
{
	int fd = try_open(set, name, flags);

	if (fd < 0 && errno == EMFILE && closing && closing->count) {
		image_closing_done(closing);
		fd = try_open(set, name, flags);
	}
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return error_set(err, -errno, "cannot open %s", name);
	*ret_fd = fd;
	return 0;
}

static int open_regular(const struct image_set *set, const char *name, int flags, int *ret_fd, uint64_t *ret_bytes,
			struct error *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r = open_image(set, name, flags, NULL, &fd, err);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "cannot open %s", name);
	if (!S_ISREG(st.st_mode))
		return error_say(err, -EBADMSG, "%s is not a regular file", name);
	*ret_bytes = (uint64_t)st.st_size;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Brings `bytes` bytes at the position into the window; they must be in the file. */
static int fill_window(struct image_reader *r, uint64_t bytes, struct error *err)
{
	uint64_t held = r->window_at + r->window.bytes;
	uint64_t wanted;
	int result;

	if (r->position >= r->window_at && r->position + bytes <= held)
		return 0;
	wanted = min_u64(max_u64(bytes, WINDOW_BYTES), r->file_bytes - r->position);
	r->window.bytes = 0;
	result = buffer_reserve(&r->window, wanted);
	if (result == 0)
		result = pread_all(r->fd, r->window.data, wanted, r->position);
	if (result == -EIO)
		return error_say(err, -EBADMSG, "%s: cannot be read up to its end", r->name);
	if (result < 0)
		return error_set(err, result, "cannot read %s", r->name);
	r->window_at = r->position;
	r->window.bytes = wanted;
	return 0;
}

/* Takes bytes at the position. They stay where they are until the next call. 1, or 0 when the file is too short. */
static int take(struct image_reader *r, uint64_t bytes, const void **ret_data, struct error *err)
{
	int result;

	if (bytes > image_reader_left(r))
		return 0;
	result = fill_window(r, bytes, err);
	if (result < 0)
		return result;
	*ret_data = bytes ? r->window.data + (r->position - r->window_at) : "";
	r->position += bytes;
	return 1;
}

static int take_u32(struct image_reader *r, uint32_t *ret_value, struct error *err)
{
	const void *data;
	int result = take(r, sizeof(*ret_value), &data, err);

	if (result > 0)
		memcpy(ret_value, data, sizeof(*ret_value));
	return result;
}

static int bad_magic(const struct image_reader *r, uint32_t magic, struct error *err)
{
	const char *wanted = image_type(r->kind)->title;
	enum image_kind found;

	if (image_find_magic(magic, &found) == 0)
		return error_say(err, -EBADMSG, "%s: holds a %s image, not a %s image", r->name,
				 image_type(found)->title, wanted);
	return error_say(err, -EBADMSG, "%s: not a %s image (magic 0x%08x)", r->name, wanted, magic);
}

/* The oldest sets have no common magic; the file's own one tells which form it is. */
static int check_magic(struct image_reader *r, struct error *err)
{
	const struct image_type *type = image_type(r->kind);
	uint32_t magic = 0;
	int result = take_u32(r, &magic, err);

	if (result > 0 && ((type->framing == IMAGE_FRAMING_COMMON && magic == IMAGE_MAGIC_COMMON) ||
			   (type->framing == IMAGE_FRAMING_SERVICE && magic == IMAGE_MAGIC_SERVICE)))
		result = take_u32(r, &magic, err);
	if (result < 0)
		return result;
	if (result == 0)
		return error_say(err, -EBADMSG, "%s: truncated: too short for its magic", r->name);
	return magic == type->magic ? 0 : bad_magic(r, magic, err);
}

/*
 * A small image, of which there may be one for each of many threads, is open, read and known to be at its end by two
 * calls. Whatever is no regular file cannot be read at an offset, or has no end so soon.
 */
static int open_small(struct image_reader *r, const struct image_set *set, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	int result = open_image(set, r->name, O_RDONLY, r->closing, &fd, err);
	ssize_t n;

	if (result == 0)
		result = buffer_reserve(&r->window, SMALL_BYTES);
	if (result < 0)
		return result == -ENOMEM ? error_set(err, result, "read %s", r->name) : result;
	n = pread(fd, r->window.data, SMALL_BYTES, 0);
	if (n <= 0 || n == SMALL_BYTES)
		return -E2BIG;
	r->window.bytes = r->file_bytes = (uint64_t)n;
	r->fd = take_fd(&fd);
	return 0;
}

static int open_reader(struct image_reader *r, const struct image_set *set, enum image_kind kind, uint64_t id,
		       struct image_closing *closing, struct error *err)
{
	int result;

	*r = (struct image_reader)IMAGE_READER_INIT;
	r->kind = kind;
	r->closing = closing;
	image_name(kind, id, r->name);
	if (image_type(kind)->framing == IMAGE_FRAMING_RAW)
		return error_say(err, -EINVAL, "%s: a raw image has no records", r->name);
	result = kind == IMAGE_CORE ? open_small(r, set, err) : -E2BIG;
	if (result == -E2BIG)
		result = open_regular(set, r->name, O_RDONLY, &r->fd, &r->file_bytes, err);
	if (result == -ENOENT && !error_is_set(err) && image_set_had(set, r->name))
		result = error_say(err, -EBADMSG, "%s is missing", r->name);
	if (result == 0)
		result = check_magic(r, err);
	if (result < 0)
		image_reader_done(r);
	return result;
}

int image_reader_open(struct image_reader *r, const struct image_set *set, enum image_kind kind, uint64_t id,
		      struct error *err)
{
	return open_reader(r, set, kind, id, NULL, err);
}

static int take_message(struct image_reader *r, const void **ret_data, uint32_t *ret_bytes, struct error *err)
{
	int result = take_u32(r, ret_bytes, err);

	if (result > 0) {
		if (*ret_bytes > MESSAGE_BYTES_MAX)
			return image_reader_bad(r, err, "a length of %" PRIu32 " bytes", *ret_bytes);
		result = take(r, *ret_bytes, ret_data, err);
	}
	return result == 0 ? image_reader_bad(r, err, "truncated") : result;
}

int image_reader_next(struct image_reader *r, const ProtobufCMessageDescriptor *descriptor, void *ret_message,
		      struct error *err)
{
	const struct image_type *type = image_type(r->kind);
	const char *reason;
	const void *data;
	uint32_t bytes = 0;
	int result;

	if (descriptor != type->message && descriptor != type->head && descriptor != type->sub_message)
		return error_say(err, -EINVAL, "%s: has no records of type %s", r->name, descriptor->name);
	if (image_reader_left(r) == 0)
		return 0;
	r->record++;
	r->record_at = r->position;
	result = take_message(r, &data, &bytes, err);
	if (result < 0)
		return result;
	result = image_message_decode(descriptor, data, bytes, r->arena, ret_message, &reason);
	if (result < 0)
		return image_reader_bad(r, err, "%s", reason);
	return 1;
}

static int payload_too_short(const struct image_reader *r, uint64_t bytes, struct error *err)
{
	return image_reader_bad(r, err, "truncated: %" PRIu64 " bytes should follow, %" PRIu64 " are there", bytes,
				image_reader_left(r));
}

int image_reader_payload(struct image_reader *r, uint64_t bytes, const void **ret_data, struct error *err)
{
	int result = take(r, bytes, ret_data, err);

	if (result == 0)
		return payload_too_short(r, bytes, err);
	return result < 0 ? result : 0;
}

int image_reader_copy(struct image_reader *r, uint64_t bytes, void *to, struct error *err)
{
	const void *data;
	uint64_t offset = 0;
	int result;

	if (bytes <= WINDOW_BYTES) {
		result = image_reader_payload(r, bytes, &data, err);
		if (result == 0)
			memcpy(to, data, bytes);
		return result;
	}
	result = image_reader_skip(r, bytes, &offset, err);
	if (result < 0)
		return result;
	result = pread_all(r->fd, to, bytes, offset);
	return result < 0 ? error_set(err, result, "cannot read %s", r->name) : 0;
}

int image_reader_skip(struct image_reader *r, uint64_t bytes, uint64_t *ret_offset, struct error *err)
{
	if (bytes > image_reader_left(r))
		return payload_too_short(r, bytes, err);
	*ret_offset = r->position;
	r->position += bytes;
	return 0;
}

uint64_t image_reader_left(const struct image_reader *r)
{
	return r->file_bytes - r->position;
}

void image_reader_done(struct image_reader *r)
{
	if (r->closing && r->fd >= 0)
		close_later(r->closing, take_fd(&r->fd));
	close_fd(&r->fd);
	buffer_done(&r->window);
	r->file_bytes = r->position = r->window_at = 0;
}

/* The only record of a file: nothing may stand behind it. */
static int take_only(struct image_reader *r, const ProtobufCMessageDescriptor *descriptor, void *ret_message,
		     struct error *err)
{
	AUTO_MESSAGE void *message = NULL;
	int result = image_reader_next(r, descriptor, &message, err);

	if (result < 0)
		return result;
	if (result == 0)
		return error_say(err, -EBADMSG, "%s: truncated: holds no record", r->name);
	if (image_reader_left(r) > 0)
		return error_say(err, -EBADMSG, "%s: %" PRIu64 " bytes behind its only record", r->name,
				 image_reader_left(r));
	memcpy(ret_message, &message, sizeof(message));
	message = NULL;
	return 0;
}

static int read_one(const struct image_set *set, enum image_kind kind, uint64_t id,
		    const ProtobufCMessageDescriptor *descriptor, struct image_closing *closing, void *ret_message,
		    struct error *err)
{
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	int r = open_reader(&reader, set, kind, id, closing, err);

	return r < 0 ? r : take_only(&reader, descriptor, ret_message, err);
}

int image_read_one(const struct image_set *set, enum image_kind kind, uint64_t id,
		   const ProtobufCMessageDescriptor *descriptor, void *ret_message, struct error *err)
{
	return read_one(set, kind, id, descriptor, NULL, ret_message, err);
}

int image_read_required_of_many(const struct image_set *set, enum image_kind kind, uint64_t id,
				const ProtobufCMessageDescriptor *descriptor, struct image_closing *closing,
				void *ret_message, struct error *err)
{
	int r = read_one(set, kind, id, descriptor, closing, ret_message, err);
	char name[IMAGE_NAME_MAX];

	if (r != -ENOENT || error_is_set(err))
		return r;
	image_name(kind, id, name);
	return error_say(err, -EBADMSG, "%s is missing", name);
}

int image_read_required(const struct image_set *set, enum image_kind kind, uint64_t id,
			const ProtobufCMessageDescriptor *descriptor, void *ret_message, struct error *err)
{
	return image_read_required_of_many(set, kind, id, descriptor, NULL, ret_message, err);
}

static void free_list(struct image_list *list, const struct arena *arena)
{
	if (arena)
		list->count = 0;
	image_list_done(list);
}

int image_read_list_into(const struct image_set *set, enum image_kind kind, uint64_t id,
			 const ProtobufCMessageDescriptor *descriptor, struct arena *arena, struct image_list *ret_list,
			 struct error *err)
{
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	struct image_list list = { 0 };
	size_t capacity = 0;
	int r = image_reader_open(&reader, set, kind, id, err);

	reader.arena = arena;
	while (r >= 0) {
		r = array_reserve(&list.items, &capacity, list.count, sizeof(*list.items));
		if (r < 0)
			(void)error_set(err, r, "read %s", reader.name);
		else
			r = image_reader_next(&reader, descriptor, &list.items[list.count], err);
		if (r <= 0)
			break;
		list.count++;
	}
	if (r < 0 && (r != -ENOENT || error_is_set(err))) {
		free_list(&list, arena);
		return r;
	}
	if (list.count == 0)
		free_list(&list, arena);
	*ret_list = list;
	return 0;
}

int image_read_list(const struct image_set *set, enum image_kind kind, uint64_t id,
		    const ProtobufCMessageDescriptor *descriptor, struct image_list *ret_list, struct error *err)
{
	return image_read_list_into(set, kind, id, descriptor, NULL, ret_list, err);
}

void image_list_done(struct image_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		image_message_free(list->items[i]);
	free(list->items);
	*list = (struct image_list){ 0 };
}

int image_open_raw(const struct image_set *set, enum image_kind kind, uint64_t id, int flags, int *ret_fd,
		   uint64_t *ret_bytes, struct error *err)
{
	char name[IMAGE_NAME_MAX];

	image_name(kind, id, name);
	return open_regular(set, name, flags, ret_fd, ret_bytes, err);
}
