/* What an epoll is going to report. poll(2) tells whether there is something; which it is only the kernel's own list.
 */
#pragma once

#include <stddef.h>

struct kernel_memory;

/* The numbers under which the targets on the list were added, first one first; malloc()ed. 0 or -errno. */
int epoll_ready_list(struct kernel_memory *km, int pidfd, int fd, int **ret_numbers, size_t *ret_count);
