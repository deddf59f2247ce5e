/*
 * Which pages of private memory a process has in common with others, as after fork(): process_vm_readv() would give it
 * copies of its own, which takes long, and memory that it may not have. Read through /proc/PID/mem they stay shared.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef int (*page_sharing_part)(void *ctx, uint64_t start, uint64_t page_count, bool is_shared);

/*
 * Calls part for the pages from start on, ascending and all of them, in pieces that are shared or not as a whole. In
 * large ranges pieces of 2 MiB whose first page is not shared are taken as such: what is told is no more than a hint. 0
 * or what part returned.
 */
int page_sharing_split(int pagemap_fd, uint64_t start, uint64_t page_count, page_sharing_part part, void *ctx);
