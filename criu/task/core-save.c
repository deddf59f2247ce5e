/* Puts the parts together and writes one core image per thread; for that of a zombie see zombie-save.c. */
#include "task/core-save.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "arch/x86/ldt.h"
#include "base/parallel.h"
#include "engine/dump.h"
#include "image/image-write.h"
#include "pie/parasite-border.h"
#include "security/keyring.h"
#include "security/seccomp.h"
#include "task/task-look.h"

enum { TASK_ALIVE = 1, TASK_STOPPED = 3, TASK_LEADER_ENDED = 1000 };

#define THREADS_PARALLEL_FROM 64 /* a file each */

#define OWN_CGROUP_SET 1 /* the set of the dumping process, which needs no entry in cgroup.img */

void core_save_exit_signal(const struct task *task, TaskCoreEntry *tc)
{
	tc->has_exit_signal = task->stat.exit_signal != SIGCHLD;
	tc->exit_signal = tc->has_exit_signal ? (uint32_t)task->stat.exit_signal : 0;
}

static void save_ldt(const struct task_state *state, TaskCoreEntry *tc)
{
	tc->ldt.data = state->ldt;
	tc->ldt.len = ldt_used_bytes(state->ldt, state->ldt_bytes);
	tc->has_ldt = tc->ldt.len != 0;
}

static int fill_process(const struct dump *d, const struct task *task, TaskCoreEntry *tc, struct arena *arena)
{
	int r = signals_save_process(task, tc, arena);

	tc->task_state = task->stop_signal ? TASK_STOPPED : TASK_ALIVE;
	tc->comm = (char *)task->comm;
	core_save_exit_signal(task, tc);
	save_ldt(task->state, tc);
	tc->has_continued_uncollected = tc->continued_uncollected = task->has_continued;
	tc->has_left_terminal = tc->left_terminal = task->left_terminal;
	tc->has_vfork_child = task->vfork_child != NULL;
	tc->vfork_child = task->vfork_child ? (uint32_t)task_id_own(&task->vfork_child->id) : 0;
	if (r == 0)
		r = timers_save(task, tc, arena);
	if (r == 0)
		r = limits_save(task, tc, arena);
	if (r == 0)
		r = keyrings_save(d, task, tc, arena);
	return r < 0 ? r : switches_save_process(task, tc, arena);
}

static int fill_thread(const struct task *task, const struct task_thread *thread, ThreadCoreEntry *tc,
		       struct arena *arena)
{
	int r = signals_save_thread(task, thread, tc, arena);

	if (r == 0)
		r = creds_save(thread, tc, arena);
	if (r == 0)
		r = sched_save(thread, tc, arena);
	seccomp_save_thread(thread, tc);
	tc->has_cg_set = true;
	tc->cg_set = OWN_CGROUP_SET;
	return r < 0 ? r : switches_save_thread(thread, tc, arena);
}

static int save_thread(struct dump *d, struct task *task, size_t index, struct error *err)
{
	const bool is_leader = index == 0 && !task->ended_leader;
	AUTO_ARENA struct arena arena = { 0 };
	struct task_thread *thread = &task->threads[index];
	CoreEntry core = CORE_ENTRY__INIT;
	TaskCoreEntry tc = TASK_CORE_ENTRY__INIT;
	ThreadCoreEntry thread_core = THREAD_CORE_ENTRY__INIT;
	int r;

	core.mtype = CORE_ENTRY__MARCH__X86_64;
	core.thread_core = &thread_core;
	r = registers_save(task, thread, &core, &arena, err);
	if (r == 0)
		r = fill_thread(task, thread, &thread_core, &arena);
	if (r == 0 && is_leader) {
		core.tc = &tc;
		r = fill_process(d, task, &tc, &arena);
	}
	if (r < 0)
		(void)error_set(err, r, TASK_FORMAT ", thread %d", TASK_ARGS(task), thread->tid);
	else
		r = image_write_one(d->set, IMAGE_CORE, (uint64_t)task_id_own(&thread->id), &core, err);
	registers_save_done(&core);
	return r;
}

/*
 * A first thread that has ended while others live on has no registers any more. The state of such a process is none
 * that another reader knows.
 */
static int save_ended_leader(struct dump *d, struct task *task, struct error *err)
{
	AUTO_ARENA struct arena arena = { 0 };
	struct task_thread *leader = task->ended_leader;
	const struct parasite_thread answers = {
		.cpuid = 1,
		.mce_kill = -1,
		.mempolicy_result = -1,
		.sas_flags = SS_DISABLE,
		.no_new_privs = leader->status.no_new_privs,
		.pdeath_signal = leader->state->pdeath_signal,
		.timer_slack_ns = (int64_t)leader->state->timer_slack_ns,
	};
	CoreEntry core = CORE_ENTRY__INIT;
	TaskCoreEntry tc = TASK_CORE_ENTRY__INIT;
	ThreadCoreEntry thread_core = THREAD_CORE_ENTRY__INIT;
	int r;

	leader->parasite = &answers;
	core.mtype = CORE_ENTRY__MARCH__X86_64;
	core.thread_core = &thread_core;
	core.tc = &tc;
	r = fill_thread(task, leader, &thread_core, &arena);
	if (r == 0)
		r = fill_process(d, task, &tc, &arena);
	leader->parasite = NULL;
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": its first thread", TASK_ARGS(task));
	tc.blk_sigset = leader->status.sig_blocked;
	tc.has_leader_exit_code = true;
	tc.leader_exit_code = (uint32_t)leader->stat.exit_code;
	tc.has_leader_task_state = true;
	tc.leader_task_state = tc.task_state;
	tc.task_state = TASK_LEADER_ENDED;
	return image_write_one(d->set, IMAGE_CORE, (uint64_t)task_id_own(&leader->id), &core, err);
}

struct save_run {
	struct dump *d;
	struct task *task;
	int result; /* the first failure's, and its sentence */
	struct error err;
};

static void save_threads(void *ctx, size_t begin, size_t end)
{
	struct save_run *run = ctx;

	for (size_t i = begin; i < end && !__atomic_load_n(&run->result, __ATOMIC_RELAXED); i++) {
		struct error err = { 0 };
		int r = save_thread(run->d, run->task, i, &err), none = 0;

		if (r < 0 &&
		    __atomic_compare_exchange_n(&run->result, &none, r, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			run->err = err;
	}
}

int core_save(struct dump *d, struct task *task, struct error *err)
{
	struct save_run run = { .d = d, .task = task };
	int r;

	if (task->is_zombie)
		return zombie_save(d, task, err);
	r = task->ended_leader ? save_ended_leader(d, task, err) : 0;
	if (r < 0)
		return r;
	parallel_run(task->thread_count, THREADS_PARALLEL_FROM, save_threads, &run);
	if (run.result < 0)
		*err = run.err;
	return run.result;
}
