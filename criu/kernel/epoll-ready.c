#include "kernel/epoll-ready.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/kernel-memory.h"

/* More cannot be on a list that does not change. */
#define TARGETS_MAX (1u << 24)

static int find_list(struct kernel_memory *km, int pidfd, int fd, uint64_t *ret_list)
{
	int offset = kernel_memory_offset(km, "eventpoll", "rdllist");
	uint64_t file, epoll;
	int r = offset < 0 ? offset : kernel_memory_file(km, pidfd, fd, &file);

	if (r == 0)
		r = KERNEL_MEMBER(km, file, "file", "private_data", &epoll);
	if (r == 0)
		*ret_list = epoll + (uint64_t)offset;
	return r;
}

int epoll_ready_list(struct kernel_memory *km, int pidfd, int fd, int **ret_numbers, size_t *ret_count)
{
	int link = kernel_memory_offset(km, "epitem", "rdllink"),
	    number = kernel_memory_offset(km, "epoll_filefd", "fd");
	AUTO_FREE int *numbers = NULL;
	size_t count = 0, capacity = 0;
	uint64_t list, at;
	int r = link < 0 ? link : number;

	if (r >= 0)
		r = find_list(km, pidfd, fd, &list);
	if (r == 0)
		r = kernel_memory_read(km, list, &at, sizeof(at));
	while (r == 0 && at != list) {
		uint64_t item = at - (uint64_t)link;
		char target[16];

		if (count == TARGETS_MAX || (size_t)number + sizeof(int) > sizeof(target))
			return -ELOOP;
		r = array_reserve(&numbers, &capacity, count, sizeof(*numbers));
		if (r == 0)
			r = KERNEL_MEMBER(km, item, "epitem", "ffd", &target);
		if (r == 0)
			memcpy(&numbers[count++], target + number, sizeof(int));
		if (r == 0)
			r = kernel_memory_read(km, at, &at, sizeof(at));
	}
	if (r < 0)
		return r;
	*ret_numbers = TAKE_PTR(numbers);
	*ret_count = count;
	return 0;
}
