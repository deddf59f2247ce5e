/*
 * Process descriptors: a reference to one process that a reuse of its pid cannot turn into another. pidfd_open since
 * 5.3, pidfd_getfd since 5.6, threads since 6.9.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Close-on-exec descriptor of a process, or -errno: -ESRCH when it is gone, -EINVAL for a thread that leads no group.
 */
int pidfd_open_pid(pid_t pid);

/* The same for any thread (PIDFD_THREAD). */
int pidfd_open_tid(pid_t tid);

/* A close-on-exec copy of descriptor fd of that process, sharing its open file: descriptor or -errno. */
int pidfd_getfd_from(int pidfd, int fd);

int pidfd_send_signal_to(int pidfd, int signal);

/* How a process ended that was waited for, as wait(2) tells it: 0 or -errno; since 6.15. */
int pidfd_exit_status(int pidfd, int *ret_status);

/* False for zombies as well: the process has ended. */
bool pidfd_is_alive(int pidfd);
