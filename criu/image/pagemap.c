/*
 * Page maps. The format has grown: a page count moved from a 32-bit to a 64-bit field, "in parent" and "present" became
 * flags. Here every form becomes a struct page_run, and pages that are in a parent set are followed, level by level, to
 * the pages file that has them.
 */
#include "image/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-read.h"
#include "images/pagemap.pb-c.h"

#define FLAGS_KNOWN ((uint32_t)(PAGEMAP_PARENT | PAGEMAP_LAZY | PAGEMAP_PRESENT))

static uint64_t run_end(uint64_t vaddr, uint64_t nr_pages)
{
	return vaddr + nr_pages * PAGE_BYTES;
}

static uint32_t entry_flags(const PagemapEntry *entry)
{
	if (entry->has_flags)
		return entry->flags;
	return entry->has_in_parent && entry->in_parent ? PAGEMAP_PARENT : PAGEMAP_PRESENT;
}

/* Fills run from an entry; the runs before it end at `end`. */
static int entry_to_run(const struct image_reader *r, const PagemapEntry *entry, uint64_t end, struct page_run *run,
			struct error *err)
{
	run->vaddr = entry->vaddr;
	run->nr_pages = entry->has_nr_pages ? entry->nr_pages : entry->compat_nr_pages;
	run->flags = entry_flags(entry);
	if (!is_page_aligned(run->vaddr))
		return image_reader_bad(r, err, "address 0x%" PRIx64 " is not at a page boundary", run->vaddr);
	if (run->nr_pages == 0)
		return image_reader_bad(r, err, "an entry without pages");
	if (run->nr_pages > (UINT64_MAX - run->vaddr) / PAGE_BYTES)
		return image_reader_bad(r, err, "%" PRIu64 " pages at 0x%" PRIx64 " are too many", run->nr_pages,
					run->vaddr);
	if (run->vaddr < end)
		return image_reader_bad(r, err, "0x%" PRIx64 " is below the end of the entry before (0x%" PRIx64 ")",
					run->vaddr, end);
	if (run->flags & ~FLAGS_KNOWN)
		return image_reader_bad(r, err, "unknown flags 0x%x", run->flags);
	if (run->flags == 0 || (run->flags & PAGEMAP_PARENT && run->flags & PAGEMAP_PRESENT))
		return image_reader_bad(r, err, "flags 0x%x do not say where the content is", run->flags);
	return 0;
}

static int read_runs(struct pagemap *map, struct image_reader *r, struct error *err)
{
	uint64_t end = 0;
	size_t capacity = 0;
	int result;

	for (;;) {
		AUTO_MESSAGE PagemapEntry *entry = NULL;
		struct page_run *run;

		result = image_reader_next(r, &pagemap_entry__descriptor, &entry, err);
		if (result <= 0)
			return result;
		result = array_reserve(&map->runs, &capacity, map->run_count, sizeof(*map->runs));
		if (result < 0)
			return error_set(err, result, "read %s", map->name);
		run = &map->runs[map->run_count];
		memset(run, 0, sizeof(*run));
		result = entry_to_run(r, entry, end, run, err);
		if (result < 0)
			return result;
		if (run->flags & PAGEMAP_PRESENT) {
			run->offset = map->present_pages * PAGE_BYTES;
			map->present_pages += run->nr_pages;
		}
		end = run_end(run->vaddr, run->nr_pages);
		map->run_count++;
	}
}

static int missing_pages(const struct pagemap *map, struct error *err)
{
	return error_say(err, -EBADMSG, "%s: its pages-%u.img is missing", map->name, map->pages_id);
}

/*
 * tmpfs looks at each page to find a hole, milliseconds for a large file. It counts nothing but pages, as other
 * filesystems do not: one with as many as it is long has no holes.
 */
static bool may_have_holes(int fd, uint64_t bytes)
{
	struct statfs fs;
	struct stat st;

	return fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC || fstat(fd, &st) < 0 ||
	       (uint64_t)st.st_blocks * 512 < bytes;
}

static bool has_holes(int fd, uint64_t bytes)
{
	off_t hole = may_have_holes(fd, bytes) ? lseek(fd, 0, SEEK_HOLE) : -1;

	return hole >= 0 && (uint64_t)hole < bytes;
}

/*
 * No overflow: runs do not overlap, so their sum fits as their addresses do. Pages beyond those of all runs are of a
 * map that was cut off; of a parent set only what is asked for matters.
 */
static int check_pages_file(struct pagemap *map, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	uint64_t bytes;
	int r = image_open_raw(map->set, IMAGE_PAGES, map->pages_id, O_RDONLY, &fd, &bytes, err);

	if (r == -ENOENT && !error_is_set(err))
		return map->present_pages == 0 ? 0 : missing_pages(map, err);
	if (r < 0)
		return r;
	if (bytes / PAGE_BYTES < map->present_pages || (bytes != map->present_pages * PAGE_BYTES && !map->set->child))
		return error_say(err, -EBADMSG,
				 "pages-%u.img is too %s: %" PRIu64 " bytes for the %" PRIu64 " pages of %s",
				 map->pages_id, bytes / PAGE_BYTES < map->present_pages ? "short" : "long", bytes,
				 map->present_pages, map->name);
	map->has_holes = has_holes(fd, bytes);
	return 0;
}

static int read_head(struct pagemap *map, struct image_reader *r, struct error *err)
{
	AUTO_MESSAGE PagemapHead *head = NULL;
	int result = image_reader_next(r, &pagemap_head__descriptor, &head, err);

	if (result < 0)
		return result;
	if (result == 0)
		return error_say(err, -EBADMSG, "%s: truncated: holds no record", map->name);
	map->pages_id = head->pages_id;
	return 0;
}

static void cleanup_map(struct pagemap **map)
{
	pagemap_free(*map);
}

/* Without resolving pages of the parent: no extents. */
static int load_runs(struct image_set *set, enum image_kind kind, uint64_t id, struct pagemap **ret_map,
		     struct error *err)
{
	__attribute__((cleanup(cleanup_map))) struct pagemap *map = NULL;
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	int r = image_reader_open(&reader, set, kind, id, err);

	if (r < 0)
		return r;
	map = calloc(1, sizeof(*map));
	if (!map)
		return error_set(err, -ENOMEM, "read %s", reader.name);
	memcpy(map->name, reader.name, sizeof(map->name));
	map->set = set;
	map->pages_fd = -1;
	r = read_head(map, &reader, err);
	if (r == 0)
		r = read_runs(map, &reader, err);
	if (r == 0)
		r = check_pages_file(map, err);
	if (r == 0)
		*ret_map = TAKE_PTR(map);
	return r;
}

static int add_extent(struct pagemap *map, size_t *capacity, struct page_extent extent, struct error *err)
{
	int r = array_reserve(&map->extents, capacity, map->extent_count, sizeof(*map->extents));

	if (r < 0)
		return error_set(err, r, "read %s", map->name);
	map->extents[map->extent_count++] = extent;
	return 0;
}

/* The pages from vaddr on are in the parent: where it has them. *at moves through the parent's extents. */
static int add_parent_pages(struct pagemap *map, size_t *capacity, const struct page_run *run, size_t *at,
			    struct error *err)
{
	uint64_t vaddr = run->vaddr, end = run_end(run->vaddr, run->nr_pages);
	const struct pagemap *parent = map->parent;

	while (vaddr < end) {
		struct page_extent extent;
		uint64_t extent_end;
		int r;

		while (*at < parent->extent_count &&
		       run_end(parent->extents[*at].vaddr, parent->extents[*at].nr_pages) <= vaddr)
			(*at)++;
		if (*at >= parent->extent_count || parent->extents[*at].vaddr > vaddr ||
		    !(parent->extents[*at].flags & PAGEMAP_PRESENT))
			return error_say(err, -EBADMSG,
					 "%s: page 0x%" PRIx64
					 " should be in the parent image set, which does not hold it",
					 map->name, vaddr);
		extent = parent->extents[*at];
		extent_end = min_u64(run_end(extent.vaddr, extent.nr_pages), end);
		extent.offset += vaddr - extent.vaddr;
		extent.vaddr = vaddr;
		extent.nr_pages = (extent_end - vaddr) / PAGE_BYTES;
		extent.flags = PAGEMAP_PRESENT | (run->flags & PAGEMAP_LAZY);
		r = add_extent(map, capacity, extent, err);
		if (r < 0)
			return r;
		vaddr = extent_end;
	}
	return 0;
}

static int resolve_runs(struct pagemap *map, struct error *err)
{
	size_t capacity = 0, parent_at = 0;
	int r = 0;

	for (size_t i = 0; i < map->run_count && r == 0; i++) {
		const struct page_run *run = &map->runs[i];
		struct page_extent extent = { .vaddr = run->vaddr, .nr_pages = run->nr_pages, .flags = run->flags };

		if (run->flags & PAGEMAP_PARENT) {
			r = add_parent_pages(map, &capacity, run, &parent_at, err);
			continue;
		}
		if (run->flags & PAGEMAP_PRESENT) {
			extent.source = map;
			extent.offset = run->offset;
		}
		r = add_extent(map, &capacity, extent, err);
	}
	return r;
}

static bool needs_parent(const struct pagemap *map)
{
	for (size_t i = 0; i < map->run_count; i++) {
		if (map->runs[i].flags & PAGEMAP_PARENT)
			return true;
	}
	return false;
}

/* The same map in the parent set; as long as maps need one, down the chain. */
static int load_parents(struct pagemap *map, enum image_kind kind, uint64_t id, struct error *err)
{
	while (needs_parent(map)) {
		struct image_set *parent_set;
		int r = image_set_parent(map->set, &parent_set, err);

		if (r == 0)
			r = load_runs(parent_set, kind, id, &map->parent, err);
		if (r == -ENOENT && !error_is_set(err))
			return error_say(err, -EBADMSG, "%s: pages of it are in a parent image set, which is not there",
					 map->name);
		if (r < 0)
			return r;
		map->parent->child = map;
		map = map->parent;
	}
	return 0;
}

static int resolve_chain(struct pagemap *map, struct error *err)
{
	while (map->parent)
		map = map->parent;
	for (; map; map = map->child) {
		int r = resolve_runs(map, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int pagemap_load(struct image_set *set, enum image_kind kind, uint64_t id, struct pagemap **ret_map, struct error *err)
{
	__attribute__((cleanup(cleanup_map))) struct pagemap *map = NULL;
	int r = load_runs(set, kind, id, &map, err);

	if (r == 0)
		r = load_parents(map, kind, id, err);
	if (r == 0)
		r = resolve_chain(map, err);
	if (r == 0)
		*ret_map = TAKE_PTR(map);
	return r;
}

void pagemap_close_pages(struct pagemap *map)
{
	for (; map; map = map->parent)
		close_fd(&map->pages_fd);
}

void pagemap_free(struct pagemap *map)
{
	while (map) {
		struct pagemap *parent = map->parent;

		close_fd(&map->pages_fd);
		free(map->runs);
		free(map->extents);
		free(map);
		map = parent;
	}
}

int pagemap_pages_fd(struct pagemap *map, int flags, struct error *err)
{
	uint64_t bytes;
	int r;

	if (map->pages_fd >= 0)
		return map->pages_fd;
	r = image_open_raw(map->set, IMAGE_PAGES, map->pages_id, flags, &map->pages_fd, &bytes, err);
	if (r == -ENOENT && !error_is_set(err))
		return missing_pages(map, err);
	return r < 0 ? r : map->pages_fd;
}

/* Nothing but a hole up to the end of the file: ENXIO. */
static int count_holes(const struct page_extent *extent, int fd, uint64_t *holes)
{
	const uint64_t end = extent->offset + extent->nr_pages * PAGE_BYTES;
	uint64_t at = extent->offset;

	while (at < end) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno != ENXIO)
			return -errno;
		if (data < 0 || (uint64_t)data >= end) {
			*holes += (end - at) / PAGE_BYTES;
			return 0;
		}
		*holes += ((uint64_t)data - at) / PAGE_BYTES;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		at = (uint64_t)hole;
	}
	return 0;
}

int pagemap_count_holes(struct pagemap *map, uint64_t *ret_pages, uint64_t *ret_holes, struct error *err)
{
	uint64_t pages = 0, holes = 0;
	int r = 0;

	for (size_t i = 0; i < map->extent_count && r == 0; i++) {
		const struct page_extent *extent = &map->extents[i];
		int fd =
		    extent->source && extent->source->has_holes ? pagemap_pages_fd(extent->source, O_RDONLY, err) : 0;

		if (fd < 0)
			return fd;
		if (extent->source)
			pages += extent->nr_pages;
		if (extent->source && extent->source->has_holes)
			r = count_holes(extent, fd, &holes);
	}
	pagemap_close_pages(map);
	if (r < 0)
		return error_set(err, r, "%s: look for holes in its pages", map->name);
	*ret_pages = pages;
	*ret_holes = holes;
	return 0;
}

size_t pagemap_find_extent(const struct pagemap *map, uint64_t vaddr)
{
	size_t low = 0, high = map->extent_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (run_end(map->extents[middle].vaddr, map->extents[middle].nr_pages) <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int pagemap_writer_open(struct pagemap_writer *w, struct image_set *set, enum image_kind kind, uint64_t id,
			uint32_t pages_id, struct error *err)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;

	head.pages_id = pages_id;
	w->last = (struct page_run){ 0 };
	w->present_pages = 0;
	image_writer_open(&w->writer, set, kind, id);
	return image_writer_add(&w->writer, &head, err);
}

/* Old readers know only the 32-bit count. */
static int write_last_run(struct pagemap_writer *w, struct error *err)
{
	PagemapEntry entry = PAGEMAP_ENTRY__INIT;

	if (w->last.nr_pages == 0)
		return 0;
	entry.vaddr = w->last.vaddr;
	entry.compat_nr_pages = w->last.nr_pages <= UINT32_MAX ? (uint32_t)w->last.nr_pages : 0;
	entry.has_nr_pages = true;
	entry.nr_pages = w->last.nr_pages;
	entry.has_flags = true;
	entry.flags = w->last.flags;
	return image_writer_add(&w->writer, &entry, err);
}

int pagemap_writer_add(struct pagemap_writer *w, uint64_t vaddr, uint64_t nr_pages, uint32_t flags, struct error *err)
{
	uint64_t end = run_end(w->last.vaddr, w->last.nr_pages);
	int r;

	if (nr_pages == 0)
		return 0;
	if (!is_page_aligned(vaddr) || vaddr < end || nr_pages > (UINT64_MAX - vaddr) / PAGE_BYTES)
		return error_say(err, -EINVAL, "%s: %" PRIu64 " pages at 0x%" PRIx64 " are out of order",
				 w->writer.name, nr_pages, vaddr);
	if (flags & PAGEMAP_PRESENT)
		w->present_pages += nr_pages;
	if (w->last.nr_pages && vaddr == end && flags == w->last.flags) {
		w->last.nr_pages += nr_pages;
		return 0;
	}
	r = write_last_run(w, err);
	w->last = (struct page_run){ .vaddr = vaddr, .nr_pages = nr_pages, .flags = flags };
	return r;
}

int pagemap_writer_finish(struct pagemap_writer *w, struct error *err)
{
	int r = write_last_run(w, err);

	return r < 0 ? r : image_writer_finish(&w->writer, err);
}

void pagemap_writer_done(struct pagemap_writer *w)
{
	image_writer_done(&w->writer);
}
