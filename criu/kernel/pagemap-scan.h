/*
 * Which pages of a mapping have content: the PAGEMAP_SCAN request (6.7) on /proc/PID/pagemap, with reading the file's
 * words as the fallback.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_range {
	uint64_t start;
	uint64_t page_count;
};

/* A growing list; zeroed before its first use. */
struct page_ranges {
	struct page_range *ranges;
	size_t count;
	size_t capacity;
};

enum page_selection {
	PAGES_ANON,   /* private anonymous: present or swapped, no zero page, no guard */
	PAGES_COPIED, /* private file mapping: only what is no longer the file's page */
	PAGES_ANY,    /* present or swapped, whatever backs it (shared memory of this task's page tables, hugetlb) */
};

/* "pagemap" of a process: descriptor or -errno. */
int pagemap_open(int procfd);

/*
 * Adds the ranges of [start, end) that match, ascending and merged with each other (and with the last range in the list
 * when it ends where the first begins). Bounds are page aligned. 0 or -errno; on failure the list is as before.
 */
int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, enum page_selection selection,
		 struct page_ranges *ranges);

/* The same by the request alone, for a whole address space: -EOPNOTSUPP where the kernel does not know it. */
int pagemap_scan_by_request(int pagemap_fd, uint64_t start, uint64_t end, enum page_selection selection,
			    struct page_ranges *ranges);

/* Adds the ranges that carry guard markers (MADV_GUARD_INSTALL). Kernels without guard pages have none. */
int pagemap_scan_guards(int pagemap_fd, uint64_t start, uint64_t end, struct page_ranges *ranges);

/*
 * Adds what pagemap_scan() would add, less the pages that have not been written since they were armed, for memory
 * registered with an asynchronous write-protecting userfaultfd; rearm protects what it reports again in the same step,
 * the first time all of it. Pages without content are neither reported nor armed: a write to one makes content that is
 * not armed, and a discarded page is gone from the plain scan. -EPERM: the range, or a part of it, is not registered
 * (any more: also after mremap or in a forked child) and must be taken as written. There is no fallback: -EOPNOTSUPP
 * without PAGEMAP_SCAN.
 */
int pagemap_scan_written(int pagemap_fd, uint64_t start, uint64_t end, enum page_selection selection, bool rearm,
			 struct page_ranges *ranges);

int page_ranges_add(struct page_ranges *ranges, uint64_t start, uint64_t page_count);
void page_ranges_done(struct page_ranges *ranges);

#define AUTO_PAGE_RANGES __attribute__((cleanup(page_ranges_done)))
