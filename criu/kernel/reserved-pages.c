#include "kernel/reserved-pages.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

#define BLOCK_BYTES 512

struct search {
	int fd;
	struct reserved_range *ranges;
	size_t count, capacity;
	uint64_t found_bytes;
};

/* Pages that are there, whatever is in them. */
static int count_pages(int fd, uint64_t from, uint64_t to, uint64_t *ret)
{
	const struct {
		uint64_t offset, bytes;
	} range = { from, to - from };
	uint64_t counts[5]; /* there; dirty; being written; evicted; evicted of late */

	if (syscall(SYS_cachestat, fd, &range, counts, 0) < 0)
		return -errno;
	*ret = counts[0];
	return 0;
}

static int add(struct search *search, uint64_t from, uint64_t to)
{
	struct reserved_range *last = search->count ? &search->ranges[search->count - 1] : NULL;

	search->found_bytes += to - from;
	if (last && last->offset + last->bytes == from) {
		last->bytes += to - from;
		return 0;
	}
	if (array_reserve(&search->ranges, &search->capacity, search->count, sizeof(*search->ranges)) < 0)
		return -ENOMEM;
	search->ranges[search->count++] = (struct reserved_range){ from, to - from };
	return 0;
}

/* Both at page boundaries. Halves are looked at until all of one is there or nothing. */
static int search_hole(struct search *search, uint64_t from, uint64_t to)
{
	const uint64_t pages = (to - from) / PAGE_BYTES, middle = from + pages / 2 * PAGE_BYTES;
	uint64_t there = 0;
	int r = pages ? count_pages(search->fd, from, to, &there) : 0;

	if (r < 0 || there == 0)
		return r;
	if (there >= pages)
		return add(search, from, to);
	r = search_hole(search, from, middle);
	return r < 0 ? r : search_hole(search, middle, to);
}

static uint64_t page_end(uint64_t offset)
{
	return (offset + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* The next hole at or behind an offset; *ret_data_bytes grows by the data in front of it. */
static int next_hole(int fd, uint64_t size, uint64_t offset, uint64_t *ret_from, uint64_t *ret_to,
		     uint64_t *ret_data_bytes)
{
	off_t from = lseek(fd, (off_t)offset, SEEK_HOLE), to;

	if (from < 0)
		return errno == ENXIO ? 0 : -errno;
	*ret_data_bytes += page_end((uint64_t)from) - offset;
	to = (uint64_t)from < size ? lseek(fd, from, SEEK_DATA) : from;
	if (to < 0 && errno != ENXIO)
		return -errno;
	*ret_from = page_end((uint64_t)from);
	*ret_to = to < 0 ? page_end(size) : (uint64_t)to;
	return 1;
}

static int count_data(int fd, uint64_t size, uint64_t *ret)
{
	uint64_t from = 0, to = 0;
	int r = 1;

	*ret = 0;
	while (r > 0 && to < size)
		r = next_hole(fd, size, to, &from, &to, ret);
	return r;
}

static int search_all(struct search *search, uint64_t size, uint64_t reserved_bytes)
{
	uint64_t from = 0, to = 0, data;
	int r = 1;

	while (r > 0 && to < size) {
		r = next_hole(search->fd, size, to, &from, &to, &data);
		if (r > 0 && from < to && search_hole(search, from, to) < 0)
			return -ENOTSUP;
	}
	if (r < 0)
		return r;
	/* What is behind the end begins there. */
	if (search->found_bytes < reserved_bytes)
		r = search_hole(search, page_end(size), page_end(size) + reserved_bytes - search->found_bytes);
	return r < 0 ? r : search->found_bytes == reserved_bytes ? 0 : -ENOTSUP;
}

int reserved_pages_find(int fd, const struct stat *st, struct reserved_range **ret, size_t *ret_count)
{
	const uint64_t there = (uint64_t)st->st_blocks * BLOCK_BYTES, size = (uint64_t)st->st_size;
	const off_t place = lseek(fd, 0, SEEK_CUR);
	struct search search = { .fd = fd };
	uint64_t data = 0;
	int r;

	*ret = NULL;
	*ret_count = 0;
	r = there && place >= 0 ? count_data(fd, size, &data) : 0;
	if (r >= 0 && there > data && place >= 0)
		r = search_all(&search, size, there - data);
	if (place >= 0 && lseek(fd, place, SEEK_SET) < 0)
		r = -errno;
	if (r < 0) {
		free(search.ranges);
		return r;
	}
	*ret = search.ranges;
	*ret_count = search.count;
	return 0;
}
