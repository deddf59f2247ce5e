/*
 * When a sleeping thread will be woken by its timer. Calls that end with EINTR after any stop (epoll_wait,
 * sigtimedwait, semtimedop ...) keep their deadline nowhere but in a timer on the thread's kernel stack, which is gone
 * as soon as the thread is stopped. While it sleeps a BPF iterator (kernel/bpf-iterator.h) can read that stack.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sleep_timer {
	pid_t tid;            /* as the initial pid namespace numbers it */
	uint64_t switches;    /* how often it has given up the processor by itself */
	bool is_set;          /* it sleeps with a timer */
	uint64_t deadline_ns; /* on the host's CLOCK_MONOTONIC, without the slack */
};

/* Loads the program. */
struct sleep_timer_reader {
	int program_fd;
	int task_offset, soft_offset, hard_offset, state_offset; /* in the timer */
};

int sleep_timer_open(struct sleep_timer_reader *ret);

/* All threads of a process; malloc()ed. */
int sleep_timer_list(const struct sleep_timer_reader *reader, int pidfd, struct sleep_timer **ret, size_t *ret_count);
