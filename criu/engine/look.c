#include "engine/look.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/cgroup-look.h"
#include "engine/tree-look.h"
#include "engine/tree.h"
#include "engine/undo.h"
#include "files/files.h"
#include "kernel/features.h"
#include "kernel/kernel-memory.h"
#include "kernel/pidfd.h"
#include "mm/map-flags.h"
#include "mm/mm.h"
#include "mm/shared-memory.h"
#include "security/keyring.h"
#include "security/lsm.h"
#include "task/core-scheduling.h"
#include "task/ended-call.h"
#include "task/exit-signal.h"
#include "task/interrupted-call.h"
#include "task/io-context.h"
#include "task/io-ports.h"
#include "task/semaphore-undo.h"
#include "task/task-look.h"
#include "task/timer-slack.h"
#include "task/vfork-wait.h"

int look_read_own(struct look_own *ret_own, struct error *err)
{
	int r = ns_read_own(&ret_own->ns, err);

	return r < 0 ? r : cgroup_read_own(&ret_own->cgroups, err);
}

void look_own_done(struct look_own *own)
{
	buffer_done(&own->cgroups);
}

/* Notes what a step said, and lets the next one have its say. */
static void gather(struct dump *d, int r, const struct error *reason)
{
	if (r < 0)
		refusals_add(&d->refusals, reason);
}

void look_sessions(struct dump *d)
{
	struct error reason = { 0 };

	gather(d, tree_check_sessions(d, &reason), &reason);
	reason = (struct error){ 0 };
	gather(d, tree_look(d, &reason), &reason);
}

/* The kernel's objects are the same ones as ours: nothing has to be read. */
static bool has_our_namespaces(const struct dump *d, const struct task *task)
{
	const struct task_facts *facts = task->threads[0].facts;

	return facts && facts->namespaces == d->facts.own.namespaces && facts->user_ns == d->facts.own.user_ns &&
	       facts->pid_level == d->facts.own.pid_level;
}

static bool has_our_cgroups(const struct dump *d, const struct task *task)
{
	for (size_t i = 0; i < task->thread_count; i++)
		if (!task->threads[i].facts || task->threads[i].facts->cgroups != d->facts.own.cgroups)
			return false;
	return true;
}

/* Found out while nothing is lost: with everything saved it could be neither ended nor stopped. */
static int check_signals(const struct dump *d, const struct task *task, struct error *err)
{
	if (d->opts->leave == LEAVE_RUNNING || pidfd_send_signal_to(task->pidfd, 0) != -EPERM)
		return 0;
	error_hint(err, "run it with CAP_KILL, or let the tree run on: --leave-running (-R)");
	return error_say(err, -EPERM, TASK_FORMAT ": may not be sent signals (CAP_KILL is missing?)", TASK_ARGS(task));
}

int look_task(struct dump *d, const struct look_own *own, struct task *task, struct error *err)
{
	struct error ns = { 0 }, cgroup = { 0 }, lsm = { 0 }, signals = { 0 };

	if (task->is_zombie) {
		gather(d, ns_look_zombie(&own->ns, task, &ns), &ns);
		return 0;
	}
	if (has_our_namespaces(d, task))
		task->time_ns = own->ns.inode[PROC_NS_TIME];
	else
		gather(d, ns_look(&own->ns, task, &ns), &ns);
	if (!has_our_cgroups(d, task))
		gather(d, cgroup_look(d->opts, &own->cgroups, task, &cgroup), &cgroup);
	gather(d, lsm_look(task, &lsm), &lsm);
	gather(d, check_signals(d, task, &signals), &signals);
	return task_look(d, task, err);
}

/* A process that has done nothing yet, to compare others with: what it has not is what most do not have. */
static pid_t plain_pid_of(const struct dump *d)
{
	return d->undo ? undo_rescuer_pid(d->undo) : getpid();
}

/* What may need the kernel's own structures is asked by one thread. */
static void look_at_hidden_state(struct dump *d)
{
	pid_t plain_pid = plain_pid_of(d);

	for_each_task (d, task) {
		struct error reason = { 0 };

		if (task->is_zombie)
			continue;
		gather(d, semaphore_undo_look(d, task, plain_pid, &reason), &reason);
		reason = (struct error){ 0 };
		gather(d, exit_signal_look(d, task, &reason), &reason);
		if (!d->is_live)
			timers_look(d, task);
		task_look_ended_leader(d, task);
		task_look_oom_score_adj_min(d, task);
	}
}

static void look_at_traced(struct dump *d)
{
	for_each_task (d, task) {
		struct error reason = { 0 };

		if (!task->is_zombie)
			gather(d,
			       task->vfork_child ? vfork_wait_look(d, task, &reason)
						 : task_look_traced(d, task, &reason),
			       &reason);
	}
	timer_slack_look(d);
	interrupted_calls_look(d);
	ended_calls_look(d);
}

int look_tree(struct dump *d, struct memory_side *memory, bool is_worth_a_thread, struct error *err)
{
	int r;

	look_at_hidden_state(d);
	core_scheduling_look(d);
	io_ports_look(d);
	r = io_contexts_look(d, plain_pid_of(d), err);
	if (r == 0)
		r = files_look(d, err);
	if (r < 0)
		return r;
	memory_side_start(memory, d, is_worth_a_thread);
	if (!d->is_live)
		look_at_traced(d);
	return memory_side_wait_looked(memory, err);
}

int dump_kernel_memory(struct dump *d, struct kernel_memory **ret)
{
	int r = d->kernel_memory                     ? 0
		: feature_is_masked("kernel_memory") ? -EOPNOTSUPP
						     : kernel_memory_open(&d->kernel_memory);

	*ret = d->kernel_memory;
	return r;
}

void look_free(struct dump *d)
{
	kernel_memory_free(d->kernel_memory);
	d->kernel_memory = NULL;
	if (d->proc_view > 0)
		(void)close(d->proc_view);
	d->proc_view = 0;
	for_each_task (d, task) {
		task_look_free(task);
		mm_free(task);
	}
	map_flags_close(d->map_flags);
	d->map_flags = NULL;
	ended_calls_free(d);
	keyrings_free(d);
	files_free(d);
	shared_memory_free(d);
}
