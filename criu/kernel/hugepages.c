#include "kernel/hugepages.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "kernel/missing-mman.h"

#define HUGETLBFS_MAGIC 0x958458f6
#define SIZE_BITS       0x3fu

static const char directory[] = "/sys/kernel/mm/hugepages";

static uint64_t default_size(void)
{
	AUTO_FCLOSE FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (file && kib == 0 && fgets(line, sizeof(line), file))
		(void)sscanf(line, "Hugepagesize: %llu kB", &kib);
	return kib << 10;
}

size_t hugepages_sizes(uint64_t ret_bytes[HUGE_SIZES_MAX])
{
	AUTO_CLOSEDIR DIR *dir = opendir(directory);
	const struct dirent *entry;
	size_t count = 0;

	ret_bytes[0] = default_size();
	if (ret_bytes[0])
		count++;
	while (dir && count < HUGE_SIZES_MAX && (entry = readdir(dir))) {
		unsigned long long kib;

		if (sscanf(entry->d_name, "hugepages-%llukB", &kib) == 1 && kib << 10 != ret_bytes[0])
			ret_bytes[count++] = kib << 10;
	}
	return count;
}

static int read_count(uint64_t page_bytes, const char *name, uint64_t *ret)
{
	unsigned long long count;
	AUTO_FCLOSE FILE *file = NULL;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/hugepages-%llukB/%s", directory, (unsigned long long)page_bytes >> 10,
		       name);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	if (fscanf(file, "%llu", &count) != 1)
		return -EBADMSG;
	*ret = count;
	return 0;
}

int hugepages_left(uint64_t page_bytes, uint64_t *ret_count)
{
	uint64_t free_pages = 0, reserved = 0, overcommit = 0, surplus = 0;
	int r = read_count(page_bytes, "free_hugepages", &free_pages);

	if (r == 0)
		r = read_count(page_bytes, "resv_hugepages", &reserved);
	if (r == 0)
		r = read_count(page_bytes, "nr_overcommit_hugepages", &overcommit);
	if (r == 0)
		r = read_count(page_bytes, "surplus_hugepages", &surplus);
	if (r < 0)
		return r;
	*ret_count =
	    (free_pages > reserved ? free_pages - reserved : 0) + (overcommit > surplus ? overcommit - surplus : 0);
	return 0;
}

uint64_t hugepages_of_file(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : 0;
}

uint32_t hugepages_size_bits(uint64_t page_bytes)
{
	return page_bytes ? (uint32_t)__builtin_ctzll(page_bytes) << MAP_HUGE_SHIFT : 0;
}

uint64_t hugepages_bytes_of_bits(uint32_t flags)
{
	uint32_t bits = flags >> MAP_HUGE_SHIFT & SIZE_BITS;

	return bits ? UINT64_C(1) << bits : default_size();
}
