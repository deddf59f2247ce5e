/* What was not read of pipes and fifos: of each at most once, of a pipe that a file is an end of, and of a size that
 * fits. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-check-private.h"

#define PIPE_BYTES_MAX (256u << 20) /* the kernel keeps the slots of a pipe in one piece of at most 4 MiB */

static int check_pipe_entry(const struct image_reader *r, const PipeDataEntry *entry, struct error *err)
{
	uint64_t packets = 0;

	if (entry->bytes > PIPE_BYTES_MAX || (entry->has_size && entry->bytes > entry->size))
		return image_reader_bad(r, err, "%u bytes in a pipe for %u", entry->bytes,
					entry->has_size ? entry->size : PIPE_BYTES_MAX);
	for (size_t i = 0; i < entry->n_packets; i++)
		packets += entry->packets[i];
	if (entry->n_stream_bytes && entry->n_stream_bytes != entry->n_packets)
		return image_reader_bad(r, err, "%zu packets, but %zu streams before them", entry->n_packets,
					entry->n_stream_bytes);
	if (entry->n_packets && packets != entry->bytes)
		return image_reader_bad(r, err, "packets of %" PRIu64 " bytes, not of %u", packets, entry->bytes);
	return 0;
}

static int add_pipe_data(struct checked_pipe_list *list, struct image_reader *reader, PipeDataEntry *entry,
			 struct error *err)
{
	AUTO_FREE void *copy = NULL;
	int r = check_pipe_entry(reader, entry, err);

	if (r < 0)
		return r;
	copy = malloc((size_t)entry->bytes + 1);
	if (!copy || array_reserve(&list->items, &list->capacity, list->count, sizeof(*list->items)) < 0)
		return error_set(err, -ENOMEM, "read %s", reader->name);
	r = image_reader_copy(reader, entry->bytes, copy, err);
	if (r < 0)
		return r;
	list->items[list->count++] = (struct checked_pipe_data){ .entry = entry, .data = TAKE_PTR(copy) };
	return 0;
}

/*
 * Each byte is in memory twice for a while, here and in its pipe. Asked before anything is read: the image may be a
 * small file with large holes.
 */
static int check_pipe_room(const struct image_reader *reader, struct error *err)
{
	const uint64_t room = (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE_BYTES / 2;

	if (image_reader_left(reader) <= room)
		return 0;
	return error_say(err, -EBADMSG, "%s: its %" PRIu64 " bytes do not fit into this machine's memory twice",
			 reader->name, image_reader_left(reader));
}

static int read_pipe_data(struct checked_set *cs, enum image_kind kind, struct checked_pipe_list *list,
			  struct error *err)
{
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	int r = image_reader_open(&reader, cs->set, kind, 0, err);

	if (r == -ENOENT && !error_is_set(err))
		return 0;
	if (r >= 0)
		r = check_pipe_room(&reader, err);
	while (r >= 0) {
		PipeDataEntry *entry;

		r = image_reader_next(&reader, &pipe_data_entry__descriptor, &entry, err);
		if (r <= 0)
			break;
		r = add_pipe_data(list, &reader, entry, err);
		if (r < 0)
			image_message_free(entry);
	}
	return r;
}

static int compare_pipe_data(const void *a, const void *b)
{
	uint32_t left = ((const struct checked_pipe_data *)a)->entry->pipe_id;
	uint32_t right = ((const struct checked_pipe_data *)b)->entry->pipe_id;

	return (left > right) - (left < right);
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* The ids of the pipes that files of the type are ends of, ascending: how many. */
static size_t collect_pipe_ids(const struct checked_set *cs, FdTypes type, uint32_t *ids)
{
	size_t count = 0;

	for (size_t i = 0; i < cs->file_count; i++) {
		const FileEntry *entry = cs->files[i].entry;

		if (entry->type == type)
			ids[count++] = type == FD_TYPES__PIPE ? entry->pipe->pipe_id : entry->fifo->pipe_id;
	}
	qsort(ids, count, sizeof(*ids), compare_numbers);
	return count;
}

/* Content of a pipe that no file is an end of would be lost. */
static int check_pipe_list(const struct checked_set *cs, const struct checked_pipe_list *list, FdTypes type,
			   const struct check_place *at)
{
	AUTO_FREE uint32_t *ids = calloc(cs->file_count + 1, sizeof(*ids));
	size_t count;

	if (!ids)
		return error_set(at->err, -ENOMEM, "check pipes");
	count = collect_pipe_ids(cs, type, ids);
	for (size_t i = 0; i < list->count; i++) {
		uint32_t id = list->items[i].entry->pipe_id;

		if (i > 0 && id == list->items[i - 1].entry->pipe_id)
			return check_bad(at, "pipe %u is there twice", id);
		if (!bsearch(&id, ids, count, sizeof(*ids), compare_numbers))
			return check_bad(at, "no file is an end of pipe %u", id);
	}
	return 0;
}

int check_pipes(struct checked_set *cs, enum image_kind kind, FdTypes type, struct checked_pipe_list *list,
		struct error *err)
{
	const struct check_place at = { kind, 0, err };
	int r = read_pipe_data(cs, kind, list, err);

	if (r < 0 || list->count == 0)
		return r;
	qsort(list->items, list->count, sizeof(*list->items), compare_pipe_data);
	return check_pipe_list(cs, list, type, &at);
}
