/*
 * Calls that end with EINTR when their thread is merely stopped, although they have waited for a part of their time
 * only: epoll_wait and epoll_pwait, which a program may be in at any moment. They are made again for what is left, in a
 * restored thread and in one that runs on.
 *
 * What is left is known to nobody but the kernel, and only until the thread is stopped: it is read before
 * (kernel/sleep-timer.h). Where that cannot be done the call ends with EINTR, as after any stop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

struct dump;
struct task;

struct ended_call {
	bool is_known;
	uint64_t deadline_ns;  /* on CLOCK_MONOTONIC */
	uint64_t remaining_ns; /* at the look */
};

/* Freeze stage, before the first thread of the task is stopped. What cannot be found out is no failure. */
void ended_calls_foresee(struct dump *d, const struct task *task);

/* Look stage, all threads stopped: keeps what still holds. */
void ended_calls_look(struct dump *d);

/* Registers for the image, of a thread whose call is known. */
void ended_call_make_again(const struct ended_call *call, struct user_regs_struct *live);

/* A task that is about to be let go. */
void ended_calls_go_on(const struct dump *d, const struct task *task);

void ended_calls_free(struct dump *d);
