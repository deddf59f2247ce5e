/*
 * Space that fallocate(2) has reserved in tmpfs and memfds: pages that are there, of which lseek(2) says that they are
 * holes. How many there are between two places cachestat(2) tells (Linux 6.5).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct reserved_range {
	uint64_t offset, bytes;
};

/*
 * Of a file of which st was read; malloc()ed, NULL and 0 when nothing is reserved. 0; -errno where something is, but
 * not where.
 */
int reserved_pages_find(int fd, const struct stat *st, struct reserved_range **ret, size_t *ret_count);
