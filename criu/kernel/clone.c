/* clone3(2) called without the C library, whose fork(2) cannot choose pids. */
#include "kernel/clone.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "kernel/missing-pidfd.h"

/* Layout of the kernel's struct clone_args since 5.7. */
struct kernel_clone_args {
	uint64_t flags;
	uint64_t pidfd;
	uint64_t child_tid;
	uint64_t parent_tid;
	uint64_t exit_signal;
	uint64_t stack;
	uint64_t stack_size;
	uint64_t tls;
	uint64_t set_tid;
	uint64_t set_tid_size;
	uint64_t cgroup;
};

uint64_t clone_own_tid_word(void)
{
	uint64_t address = 0;

	return prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0) < 0 ? 0 : address;
}

static void refresh_tid_word(struct kernel_clone_args *args)
{
	if (args->flags & CLONE_VM)
		return;
	args->child_tid = clone_own_tid_word();
	if (args->child_tid)
		args->flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
}

/* Kernels before 5.7 accept longer structures only when the rest is zero, which it is without a cgroup. */
pid_t clone_process(const struct clone_request *request, int *ret_pidfd)
{
	int pidfd = -1;
	struct kernel_clone_args args = {
		.flags = request->flags | (ret_pidfd ? CLONE_PIDFD : 0),
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = (uint64_t)request->exit_signal,
		.set_tid = request->set_tid_count ? (uintptr_t)request->set_tid : 0,
		.set_tid_size = request->set_tid_count,
		.cgroup = request->flags & CLONE_INTO_CGROUP ? (uint64_t)request->cgroup_fd : 0,
	};
	long pid;

	if (!ret_pidfd)
		args.pidfd = 0;
	refresh_tid_word(&args);
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (pid < 0)
		return -errno;
	if (ret_pidfd)
		*ret_pidfd = pid ? pidfd : -1;
	return (pid_t)pid;
}
