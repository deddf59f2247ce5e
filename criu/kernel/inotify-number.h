/* The number that the next watch of an inotify instance gets. They are given out ascending, those removed included. */
#pragma once

#include <stdint.h>

struct kernel_memory;

/* 0 or -errno. */
int inotify_next_number(struct kernel_memory *km, int pidfd, int fd, uint32_t *ret);
