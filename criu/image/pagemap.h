/*
 * Page maps: which pages of an address space or of a shared memory object are stored, and where. Reading brings the
 * entry forms of all versions into one, and follows pages that are in a parent set to where they really are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image-set.h"
#include "image/image-types.h"
#include "image/image-write.h"

enum pagemap_flags {
	PAGEMAP_PARENT = 1,  /* content is in the parent set */
	PAGEMAP_LAZY = 2,    /* may be delivered later; without PRESENT it is only there at the source */
	PAGEMAP_PRESENT = 4, /* content is in the pages file */
};

/* An entry as it stands in the file. */
struct page_run {
	uint64_t vaddr;
	uint64_t nr_pages;
	uint32_t flags;
	uint64_t offset; /* bytes into the pages file, for PRESENT */
};

/* Pages in one piece and where their content is, through all parents. */
struct page_extent {
	uint64_t vaddr;
	uint64_t nr_pages;
	uint32_t flags;         /* PRESENT, LAZY or both; never PARENT */
	struct pagemap *source; /* whose pages file; NULL for LAZY without PRESENT */
	uint64_t offset;        /* bytes into that pages file */
};

struct pagemap {
	char name[IMAGE_NAME_MAX];
	struct image_set *set;
	uint32_t pages_id;
	struct page_run *runs; /* ascending, without overlap */
	size_t run_count;
	struct page_extent *extents; /* the same pages, resolved */
	size_t extent_count;
	uint64_t present_pages;
	bool has_holes;         /* in the pages file, which no dump leaves in it */
	struct pagemap *parent; /* the same object in the parent set; loaded only when a run needs it */
	struct pagemap *child;  /* whose parent this is */
	int pages_fd;           /* -1 until pagemap_pages_fd() */
};

/*
 * kind is IMAGE_PAGEMAP or IMAGE_PAGEMAP_SHMEM. The set must outlive the map. Checked: aligned, ascending, without
 * overlap, the pages file is long enough, pages of a parent are there. -ENOENT without a sentence when there is none.
 */
int pagemap_load(struct image_set *set, enum image_kind kind, uint64_t id, struct pagemap **ret_map, struct error *err);

/* Takes NULL. */
void pagemap_free(struct pagemap *map);

/* The pages file, opened at the first call and kept: O_RDONLY, or O_RDWR to punch out what was read. */
int pagemap_pages_fd(struct pagemap *map, int flags, struct error *err);

/* Closes the pages files of the map and its parents. */
void pagemap_close_pages(struct pagemap *map);

/* The extent that holds vaddr, or the first one after it; the count when there is none. */
size_t pagemap_find_extent(const struct pagemap *map, uint64_t vaddr);

/*
 * How many pages with content the map has, and how many of these are holes in pages files: zeros that a copy has left
 * out, or pages that were given back when a set was restored (--auto-dedup).
 */
int pagemap_count_holes(struct pagemap *map, uint64_t *ret_pages, uint64_t *ret_holes, struct error *err);

/*
 * Writing: runs are added in ascending order, neighbours with equal flags become one entry. The file is written at
 * finish, also when no page is in it.
 */
struct pagemap_writer {
	struct image_writer writer;
	struct page_run last;
	uint64_t present_pages;
};

#define PAGEMAP_WRITER_INIT                                                                                            \
	{                                                                                                              \
		.writer = IMAGE_WRITER_INIT                                                                            \
	}

int pagemap_writer_open(struct pagemap_writer *w, struct image_set *set, enum image_kind kind, uint64_t id,
			uint32_t pages_id, struct error *err);
int pagemap_writer_add(struct pagemap_writer *w, uint64_t vaddr, uint64_t nr_pages, uint32_t flags, struct error *err);
int pagemap_writer_finish(struct pagemap_writer *w, struct error *err);
void pagemap_writer_done(struct pagemap_writer *w);

#define AUTO_PAGEMAP_WRITER __attribute__((cleanup(pagemap_writer_done)))
