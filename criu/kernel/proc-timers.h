/* /proc/PID/timers: the POSIX timers of a process without their settings, which only the process itself can ask for. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_timer {
	int id;
	int signal;
	uint64_t sigev_value;
	int notify; /* SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD; SIGEV_THREAD_ID or-ed in when it goes to one thread */
	pid_t notify_pid; /* 0: gone */
	int clock_id;     /* negative for CPU clocks of a process or thread */
};

/* Ascending ids; the array belongs to the caller. -ENOENT without CONFIG_POSIX_TIMERS or CONFIG_CHECKPOINT_RESTORE. */
int proc_timers_read(int procfd, struct proc_timer **ret, size_t *ret_count);
int proc_timers_parse(const char *text, struct proc_timer **ret, size_t *ret_count);
