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

/* Number and file stand in a structure of 12 bytes, which is read as a whole. */
static int read_target(struct kernel_memory *km, uint64_t item, struct epoll_ready *ret)
{
	int file = kernel_memory_offset(km, "epoll_filefd", "file"),
	    number = kernel_memory_offset(km, "epoll_filefd", "fd");
	char target[16];
	int r = file < 0 ? file : number;

	if (r >= 0)
		r = KERNEL_MEMBER(km, item, "epitem", "ffd", &target);
	if (r < 0)
		return r;
	if ((size_t)file + sizeof(ret->file) > sizeof(target) || (size_t)number + sizeof(ret->number) > sizeof(target))
		return -ENOENT;
	memcpy(&ret->file, target + file, sizeof(ret->file));
	memcpy(&ret->number, target + number, sizeof(ret->number));
	return 0;
}

int epoll_ready_list(struct kernel_memory *km, int pidfd, int fd, struct epoll_ready **ret_targets, size_t *ret_count)
{
	int link = kernel_memory_offset(km, "epitem", "rdllink");
	AUTO_FREE struct epoll_ready *targets = NULL;
	size_t count = 0, capacity = 0;
	uint64_t list, at;
	int r = link < 0 ? link : find_list(km, pidfd, fd, &list);

	if (r == 0)
		r = kernel_memory_read(km, list, &at, sizeof(at));
	while (r == 0 && at != list) {
		if (count == TARGETS_MAX)
			return -ELOOP;
		r = array_reserve(&targets, &capacity, count, sizeof(*targets));
		if (r == 0)
			r = read_target(km, at - (uint64_t)link, &targets[count++]);
		if (r == 0)
			r = kernel_memory_read(km, at, &at, sizeof(at));
	}
	if (r < 0)
		return r;
	*ret_targets = TAKE_PTR(targets);
	*ret_count = count;
	return 0;
}
