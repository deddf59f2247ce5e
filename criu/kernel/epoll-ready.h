/* What an epoll is going to report. poll(2) tells whether there is something; which it is only the kernel's own list.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct kernel_memory;

struct epoll_ready {
	int number;    /* under which it was added */
	uint64_t file; /* where its structure (struct file) is, see kernel_memory_file() */
};

/* The targets on the list, first one first; malloc()ed. 0 or -errno. */
int epoll_ready_list(struct kernel_memory *km, int pidfd, int fd, struct epoll_ready **ret_targets, size_t *ret_count);
