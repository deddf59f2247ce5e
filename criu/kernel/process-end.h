/* How a process of ours came to its end, for sentences about it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The wait status of a process that has ended, as /proc tells it until it is waited for, and its process descriptor
 * (or -1) behind that: 0 or -errno.
 */
int process_end_status(pid_t pid, int pidfd, int *ret_status);

/* Whether a thread has ended, collected or not: of a process it tells when it has no other threads. */
bool thread_has_ended(pid_t tid);

/* "was killed by SIGKILL", "ended with status 3"; "died" when nothing is known (status < 0). */
void process_end_describe(int status, char *text, size_t bytes);
