/*
 * A page map and the page map of its parent set, built from the input so that most of what is tried is well framed:
 * records of 16 bytes (page number, count, flags, which fields are there), the second half of them for the parent.
 * Whatever loads must be in order and within the pages files.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit/test_image_sample.h"
#include "images/pagemap.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define PAGES_FILE_PAGES 64

struct record {
	uint64_t vaddr;
	uint32_t count;
	uint8_t count_shift;
	uint8_t flags;
	uint8_t fields;
	uint8_t unused;
};

static int open_parts(int *ret_child, int *ret_parent)
{
	static char child[128], parent[128];
	static int child_fd = -1, parent_fd = -1;

	if (child_fd < 0) {
		child_fd = sample_directory(child, sizeof(child));
		parent_fd = sample_directory(parent, sizeof(parent));
		if (child_fd < 0 || parent_fd < 0 || symlinkat(parent, child_fd, "parent") < 0)
			abort();
	}
	*ret_child = child_fd;
	*ret_parent = parent_fd;
	return 0;
}

static void write_map(int dirfd, const uint8_t *data, size_t records)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	PagemapHead head = PAGEMAP_HEAD__INIT;
	struct error err = { 0 };
	int fd;

	head.pages_id = 1;
	if (image_set_open_plain(&set, dirfd, NULL, &err) < 0)
		abort();
	image_writer_open(&w, &set, IMAGE_PAGEMAP, 1);
	if (image_writer_add(&w, &head, &err) < 0)
		abort();
	for (size_t i = 0; i < records; i++) {
		PagemapEntry entry = PAGEMAP_ENTRY__INIT;
		struct record record;

		memcpy(&record, data + i * sizeof(record), sizeof(record));
		entry.vaddr = record.fields & 1 ? record.vaddr : record.vaddr * PAGE_BYTES;
		entry.compat_nr_pages = record.count;
		entry.has_nr_pages = record.fields & 2;
		entry.nr_pages = (uint64_t)record.count << record.count_shift % 64;
		entry.has_flags = record.fields & 4;
		entry.flags = record.flags;
		entry.has_in_parent = record.fields & 8;
		entry.in_parent = record.fields & 16;
		if (image_writer_add(&w, &entry, &err) < 0)
			abort();
	}
	if (image_writer_finish(&w, &err) < 0 || image_create_raw(&set, IMAGE_PAGES, 1, &fd, &err) < 0)
		abort();
	if (ftruncate(fd, PAGES_FILE_PAGES * PAGE_BYTES) < 0)
		abort();
	close(fd);
}

static void verify(struct pagemap *map)
{
	uint64_t end = 0;

	for (size_t i = 0; i < map->extent_count; i++) {
		const struct page_extent *extent = &map->extents[i];

		if (extent->vaddr < end || extent->nr_pages == 0 || extent->flags & PAGEMAP_PARENT)
			abort();
		end = extent->vaddr + extent->nr_pages * PAGE_BYTES;
		if ((extent->flags & PAGEMAP_PRESENT) != (extent->source ? PAGEMAP_PRESENT : 0))
			abort();
		if (extent->source && extent->offset + extent->nr_pages * PAGE_BYTES > PAGES_FILE_PAGES * PAGE_BYTES)
			abort();
		if (pagemap_find_extent(map, extent->vaddr) != i)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	size_t records = bytes / sizeof(struct record);
	struct pagemap *map = NULL;
	struct error err = { 0 };
	int child, parent, r;

	open_parts(&child, &parent);
	write_map(child, data, records / 2);
	write_map(parent, data + records / 2 * sizeof(struct record), records - records / 2);
	if (image_set_open_plain(&set, child, NULL, &err) < 0)
		abort();
	r = pagemap_load(&set, IMAGE_PAGEMAP, 1, &map, &err);
	if ((r < 0) != error_is_set(&err) || (r == 0) != (map != NULL))
		abort();
	if (map)
		verify(map);
	pagemap_free(map);
	return 0;
}
