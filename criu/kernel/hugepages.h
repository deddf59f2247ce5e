/* The huge pages of hugetlbfs: which sizes there are, and how many of one are left (/sys/kernel/mm/hugepages). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HUGE_SIZES_MAX 8

/* Fills in the sizes in bytes, the default one (what MAP_HUGETLB alone means) first; returns how many. */
size_t hugepages_sizes(uint64_t ret_bytes[HUGE_SIZES_MAX]);

/* How many pages of a size could be had now, also beyond those that exist (nr_overcommit_hugepages). 0 or -errno. */
int hugepages_left(uint64_t page_bytes, uint64_t *ret_count);

/* The page size of a file, 0 when it is none of hugetlbfs. */
uint64_t hugepages_of_file(int fd);

/* The bits that say a size to mmap(2) and memfd_create(2), and back (0: the default size). */
uint32_t hugepages_size_bits(uint64_t page_bytes);
uint64_t hugepages_bytes_of_bits(uint32_t flags);
