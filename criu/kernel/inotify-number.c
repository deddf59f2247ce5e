#include "kernel/inotify-number.h"

#include "kernel/kernel-memory.h"

static int find_numbers(struct kernel_memory *km, int pidfd, int fd, uint64_t *ret_address)
{
	int data = kernel_memory_offset(km, "fsnotify_group", "inotify_data");
	int numbers = kernel_memory_offset(km, "inotify_group_private_data", "idr");
	uint64_t file, group;
	int r = data < 0 ? data : numbers < 0 ? numbers : kernel_memory_file(km, pidfd, fd, &file);

	if (r == 0)
		r = KERNEL_MEMBER(km, file, "file", "private_data", &group);
	if (r == 0)
		*ret_address = group + (uint64_t)data + (uint64_t)numbers;
	return r;
}

int inotify_next_number(struct kernel_memory *km, int pidfd, int fd, uint32_t *ret)
{
	uint64_t address = 0;
	int r = find_numbers(km, pidfd, fd, &address);

	return r < 0 ? r : KERNEL_MEMBER(km, address, "idr", "idr_next", ret);
}
