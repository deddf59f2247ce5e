/*
 * Which POSIX timers of CLOCK_REALTIME wait for a time of that clock (TIMER_ABSTIME), and not for a span: the kernel
 * keeps the latter on CLOCK_MONOTONIC, so that setting the clock does not move them. No interface tells.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct kernel_memory;

struct wall_timer {
	int id;
	uint64_t expiry_ns; /* the next one, or the last one of a timer whose signal waits to be delivered */
};

/* Those that wait for a time; malloc()ed. 0 or -errno. */
int wall_timers_read(struct kernel_memory *km, int pidfd, struct wall_timer **ret, size_t *ret_count);
