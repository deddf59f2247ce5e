/*
 * What no interface tells of POSIX timers. Which of those of CLOCK_REALTIME wait for a time of that clock
 * (TIMER_ABSTIME), and not for a span: the kernel keeps the latter on CLOCK_MONOTONIC, so that setting the clock does
 * not move them. Which id the next timer gets, if no timer has it. And how many expiries have been missed while the
 * signal of the first one waits to be delivered: the kernel counts them when the timer is asked for, and tells the sum
 * with the signal.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct kernel_memory;

struct hidden_timer {
	int id;
	/* 0: it waits for a span. The next expiry, or the last one of a timer whose signal waits to be delivered. */
	uint64_t wall_expiry_ns;
	int64_t missed; /* up to when it was last asked for; below 0: none */
};

/* The id that timer_create(2) tries next: they count up, whatever was deleted since. 0 or -errno. */
int posix_timer_next_id(struct kernel_memory *km, int pidfd, int *ret);

/* All timers of a process; malloc()ed. 0 or -errno. */
int hidden_timers_read(struct kernel_memory *km, int pidfd, struct hidden_timer **ret, size_t *ret_count);
