/*
 * Waiting for vforks. Nobody can end the wait of such a thread but its child: that one runs on until it executes a
 * program or ends. One that sleeps is stopped after all, and its parent taken for what it is: as long as the child
 * stands still it does so too, though no tracer can stop it.
 */
#include "engine/tree-vfork.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/util.h"
#include "compel/compel.h"
#include "engine/compel-error.h"
#include "engine/dump.h"
#include "engine/tree-tasks.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-stat.h"
#include "task/vfork-wait.h"

#define VFORK_NS         500000000ull /* how long the child of a vfork may sleep before its exec */
#define VFORK_SHORT_NS   100000000ull /* likewise, where it can be saved as it is */
#define VFORK_IDLE_LOOKS 2            /* so often: one that could not run before may have gone to sleep just now */

/* clone3(2) is told where its flags stand. 0: it is in another call. */
static uint64_t read_clone_flags(const struct task *task, pid_t tid)
{
	struct proc_call call;
	uint64_t flags;
	struct iovec local = { &flags, sizeof(flags) }, remote;

	if (proc_read_call(task->procfd, tid, &call) < 0)
		return 0;
	if (call.number == SYS_vfork)
		return CLONE_VM | CLONE_VFORK;
	if (call.number == SYS_clone)
		return call.args[0];
	remote = (struct iovec){ (void *)call.args[0], sizeof(flags) };
	return call.number == SYS_clone3 && process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)sizeof(flags)
		   ? flags
		   : 0;
}

static bool waits_for_vfork(const struct task *task, pid_t tid)
{
	return read_clone_flags(task, tid) & CLONE_VFORK;
}

static bool stands_still(const struct task *task)
{
	const struct compel_task *compel = task->compel;

	for (size_t i = 0; compel && i < compel->thread_count; i++)
		if (!compel->threads[i].stopped)
			return false;
	return compel && compel->thread_count;
}

static bool is_in_state(const struct task *task, const char *states)
{
	struct proc_stat stat;

	return !stands_still(task) && proc_stat_read(task->procfd, "stat", &stat) == 0 && strchr(states, stat.state);
}

/* One that sleeps may do so for ever. */
static bool is_some_child_busy(const struct task *task)
{
	for (const struct task *child = task->first_child; child; child = child->next_sibling)
		if (is_in_state(child, "RD"))
			return true;
	return false;
}

/* Its vfork is over, and it waits for a processor. */
static bool is_ready(const struct task *task, pid_t tid)
{
	struct proc_stat stat;
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/stat", tid);
	return proc_stat_read(task->procfd, path, &stat) == 0 && stat.state == 'R';
}

static bool others_stand_still(const struct task *task, pid_t tid)
{
	const struct compel_task *compel = task->compel;

	for (size_t i = 0; i < compel->thread_count; i++)
		if (compel->threads[i].tid != tid && !compel->threads[i].stopped)
			return false;
	return true;
}

/* By its own child, which has its memory; and the first thread has not ended. */
static bool can_be_left(struct dump *d, const struct task *task, pid_t tid)
{
	return (read_clone_flags(task, tid) & (CLONE_VM | CLONE_PARENT)) == CLONE_VM &&
	       task->compel->threads[0].tid == task->host_pid &&
	       vfork_wait_can_be_told(d, task->compel->thread_count > 1);
}

static int refuse(struct task *task, pid_t tid, struct error *err)
{
	tree_task_name(task);
	error_hint(err, "try again: a vfork mostly ends with the next exec");
	return error_say(err, -ENOTSUP, TASK_FORMAT ", thread %d: waits for the end of its vfork", TASK_ARGS(task),
			 tid);
}

int tree_wait_for_vfork(struct dump *d, struct task *task, pid_t tid, uint64_t deadline_ns, struct error *err)
{
	const bool may_stay = can_be_left(d, task, tid);
	struct compel_error compel_err;
	uint64_t until_ns;
	int r, idle = 0;

	do {
		until_ns = min_u64(deadline_ns, now_ns() + (may_stay ? VFORK_SHORT_NS : VFORK_NS));
		compel_err = (struct compel_error){ 0 };
		r = compel_wait_stopped(task->compel, until_ns, &compel_err);
		idle = is_some_child_busy(task) || is_ready(task, tid) ? 0 : idle + 1;
	} while (r == -ETIMEDOUT && until_ns < deadline_ns && idle < VFORK_IDLE_LOOKS);
	if (r < 0 && r != -ETIMEDOUT)
		return compel_error_pass(err, task, &compel_err, r);
	if (r == 0)
		return tree_task_set_acting(task, task->compel->threads[0].tid, err);
	if (may_stay && task->compel->threads[0].tid == task->host_pid && others_stand_still(task, tid)) {
		task->vfork_tid = tid;
		return 0;
	}
	return refuse(task, tid, err);
}

int tree_look_at_vfork(struct task *task, struct error *err)
{
	struct compel_error compel_err = { 0 };
	const pid_t tid = task->vfork_tid;
	int r = compel_wait_stopped(task->compel, now_ns(), &compel_err);

	if (r == -ETIMEDOUT && others_stand_still(task, tid))
		return 0;
	task->vfork_tid = 0;
	if (r == -ETIMEDOUT)
		return r;
	if (r < 0)
		return compel_error_pass(err, task, &compel_err, r);
	return tree_task_set_acting(task, task->compel->threads[0].tid, err);
}

static int find_vforked(struct dump *d, struct task *task, struct error *err)
{
	for (struct task *child = task->first_child; child && !task->vfork_child; child = child->next_sibling) {
		int r = child->is_zombie || !stands_still(child) ? 0 : vfork_wait_is_for(d, task, child);

		if (r < 0 && r != -ESRCH)
			return error_set(err, r, TASK_FORMAT ": find out for whom it waits in its vfork",
					 TASK_ARGS(task));
		if (r == 1)
			task->vfork_child = child;
	}
	return 0;
}

int tree_confirm_vforks(struct dump *d, size_t *ret_again, struct error *err)
{
	int r = 0;

	for_each_task (d, task)
		task->vfork_child = task->vfork_parent = NULL;
	for_each_task (d, task) {
		if (!task->vfork_tid || task->is_zombie)
			continue;
		tree_task_name(task);
		r = find_vforked(d, task, err);
		if (r < 0)
			return r;
		if (task->vfork_child)
			task->vfork_child->vfork_parent = task;
		else
			(*ret_again)++;
	}
	return 0;
}

bool tree_waits_in_vfork(const struct task *task, const struct task *child)
{
	return child->parent == task && waits_for_vfork(task, child->maker_tid);
}

/*
 * One that has been made by a vfork, and may wait in one itself: such a one can be let go only when that is over. One
 * that does not stop goes on by itself, with an execution that takes its time: it stops behind that.
 */
static int let_child_run(struct dump *d, struct task *child, uint64_t deadline_ns, struct error *err)
{
	pid_t tid = 0;
	int r = tree_let_vforked_run(d, child, &tid, deadline_ns, err);

	if (r == 0 && tid && child->compel)
		r = tree_wait_for_vfork(d, child, tid, deadline_ns, err);
	if (r == 0 && child->vfork_tid)
		return refuse(child, tid, err);
	if (r == 0 || r == -EAGAIN)
		r = child->compel && !is_in_state(child, "D") ? tree_task_let_run(child, err) : 0;
	return r;
}

static bool is_in_vfork(const struct task *task, pid_t tid)
{
	const struct compel_task *compel = task->compel;

	if (!compel)
		return true;
	for (size_t i = 0; i < compel->thread_count; i++)
		if (compel->threads[i].tid == tid)
			return !compel->threads[i].stopped && waits_for_vfork(task, tid);
	return false;
}

int tree_let_vforked_run(struct dump *d, struct task *task, pid_t *ret_tid, uint64_t deadline_ns, struct error *err)
{
	int r = 0;

	*ret_tid = 0;
	for (size_t i = 0; task->compel && i < task->compel->thread_count && !*ret_tid; i++)
		if (is_in_vfork(task, task->compel->threads[i].tid))
			*ret_tid = task->compel->threads[i].tid;
	if (task->compel && !*ret_tid)
		return 0;
	for (struct task *child = task->first_child; child && r == 0; child = child->next_sibling)
		if (!child->is_zombie && is_in_vfork(task, child->maker_tid))
			r = let_child_run(d, child, deadline_ns, err);
	return r;
}
