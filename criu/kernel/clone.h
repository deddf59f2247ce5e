/* clone3(2) in the form of fork: a new process with a chosen pid in each pid namespace it is in. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct clone_request {
	uint64_t flags;       /* CLONE_NEWxx, CLONE_PARENT, CLONE_VM|CLONE_VFORK ...; no CLONE_THREAD */
	int exit_signal;      /* SIGCHLD mostly; must be 0 with CLONE_PARENT */
	const pid_t *set_tid; /* innermost namespace first; NULL: the kernel chooses */
	size_t set_tid_count;
	int cgroup_fd; /* used with CLONE_INTO_CGROUP only */
};

/*
 * Returns the pid in the caller's namespace to the parent, 0 to the child, -errno on failure: -EEXIST for a pid in use
 * (also by a zombie), -EINVAL for one above pid_max, -EPERM without CAP_CHECKPOINT_RESTORE where the namespace asks
 * for it. ret_pidfd, unless NULL, gets a close-on-exec process descriptor (in the parent; -1 in the child).
 * As after fork in a threaded program, only async-signal-safe functions are certain in the child (atfork handlers do
 * not run).
 */
pid_t clone_process(const struct clone_request *request, int *ret_pidfd);

/*
 * Where the C library keeps the tid of the calling thread: the word it asked the kernel to clear. Left stale in a
 * child, raise(3) and the owners of its mutexes would name the parent. 0 where the kernel does not tell.
 */
uint64_t clone_own_tid_word(void);
