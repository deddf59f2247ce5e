/*
 * Every execve(2) counts a number of the thread up, and a child remembers that of its parent at birth. Where they
 * differ the child's end sends SIGCHLD, while wait(2) goes by the child's own signal (__WCLONE). No new child of a
 * process can have it so before that process executes a program, so it is refused. The others cost nothing: the signal
 * of most children is SIGCHLD, and such children show no difference.
 */
#include "task/exit-signal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "kernel/kernel-memory.h"

/* All threads of a process have the same numbers. The parent that ptrace(2) sees may be a tracer. */
static int has_parent_executed(struct dump *d, const struct task *task, bool *ret)
{
	uint64_t child = 0, parent = 0, then = 0, now = 0;
	struct kernel_memory *km;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = kernel_memory_ended_leader(km, task->pidfd, &child);
	if (r == 0)
		r = KERNEL_MEMBER(km, child, "task_struct", "real_parent", &parent);
	if (r == 0)
		r = KERNEL_MEMBER(km, child, "task_struct", "parent_exec_id", &then);
	if (r == 0)
		r = KERNEL_MEMBER(km, parent, "task_struct", "self_exec_id", &now);
	if (r == 0)
		*ret = then != now;
	return r;
}

int exit_signal_look(struct dump *d, const struct task *task, struct error *err)
{
	bool has_executed = false;
	int r;

	if (!task->parent || task->stat.exit_signal == SIGCHLD)
		return 0;
	r = has_parent_executed(d, task, &has_executed);
	if (r < 0)
		log_warn(TASK_FORMAT
			 ": whether its parent has executed a program since it made it, and gets SIGCHLD instead of "
			 "signal %d at its end, cannot be told: %s",
			 TASK_ARGS(task), task->stat.exit_signal, strerror(-r));
	if (!has_executed)
		return 0;
	error_hint(err, "dump the tree once this process has ended");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT
			 ": is a child made with exit signal %d, of which only SIGCHLD is left since its parent, "
			 "pid %d (%s), has executed a program, which is not supported",
			 TASK_ARGS(task), task->stat.exit_signal, task->parent->host_pid, task->parent->comm);
}
