/*
 * Reading a stopped process from outside: status, limits, scheduling, timers from /proc and friends; registers, pending
 * signals and rseq by ptrace. What cannot be saved yet is refused here, before anything runs inside the task.
 */
#include "task/task-look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/debug-registers.h"
#include "arch/x86/regs.h"
#include "arch/x86/xstate.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/dump.h"
#include "kernel/features.h"
#include "kernel/kernel-memory.h"
#include "kernel/proc-misc.h"
#include "kernel/task-facts.h"
#include "kernel/thread-facts.h"
#include "mm/map-flags.h"
#include "security/seccomp.h"
#include "task/likeness.h"

/* --- from /proc -------------------------------------------------------------------------------------------------- */

static int look_thread(struct task *task, struct task_thread *thread, struct error *err)
{
	struct thread_state *state = calloc(1, sizeof(*state));
	char path[48];
	int r;

	if (!state)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	thread->state = state;
	if (thread->facts_own)
		return likeness_take_look(task, thread, err);
	(void)snprintf(path, sizeof(path), "task/%d/status", thread->tid);
	r = proc_status_read(task->procfd, path, &thread->status);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ", thread %d: read its status", TASK_ARGS(task), thread->tid);
	r = sched_read_attributes(thread->tid, &state->sched);
	if (r == 0)
		r = sched_read_affinity(thread->tid, &state->affinity, &state->affinity_words);
	if (r == 0)
		r = ioprio_read(thread->tid, &state->io_priority);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ", thread %d: read its scheduling", TASK_ARGS(task), thread->tid);
	r = robust_list_read(thread->tid, &state->robust_list, &state->robust_bytes);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ", thread %d: read its robust list", TASK_ARGS(task), thread->tid);
	return 0;
}

/* What can still be seen of a first thread that has ended. */
/* What it goes back to is no use to it any more. */
static void look_slack(struct task_thread *leader)
{
	AUTO_CLOSE int fd = proc_open_timer_slack(leader->tid);

	if (fd < 0 || proc_read_timer_slack(fd, &leader->state->timer_slack_ns) < 0)
		leader->state->timer_slack_ns = 0;
}

static int look_ended_leader(struct task *task, struct task_thread *leader, struct error *err)
{
	char path[48];
	int r;

	leader->state = calloc(1, sizeof(*leader->state));
	if (!leader->state)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	(void)snprintf(path, sizeof(path), "task/%d/status", leader->tid);
	r = proc_status_read(task->procfd, path, &leader->status);
	(void)snprintf(path, sizeof(path), "task/%d/stat", leader->tid);
	if (r == 0)
		r = proc_stat_read(task->procfd, path, &leader->stat);
	if (r == 0)
		r = sched_read_attributes(leader->tid, &leader->state->sched);
	if (r == 0)
		r = sched_read_affinity(leader->tid, &leader->state->affinity, &leader->state->affinity_words);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read what is left of its first thread", TASK_ARGS(task));
	if (leader->stat.exit_code & 0x7f)
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT
				 ": its first thread has been ended by signal %d (seccomp) while others live on, "
				 "which is not supported",
				 TASK_ARGS(task), leader->stat.exit_code & 0x7f);
	look_slack(leader);
	return 0;
}

void task_look_ended_leader(struct dump *d, const struct task *task)
{
	struct kernel_memory *km;
	uint64_t address = 0;
	int r;

	if (!task->ended_leader || !task->ended_leader->state)
		return;
	r = dump_kernel_memory(d, &km);
	if (r == 0)
		r = kernel_memory_ended_leader(km, task->pidfd, &address);
	if (r == 0)
		r = kernel_memory_member(km, address, "task_struct", "pdeath_signal",
					 &task->ended_leader->state->pdeath_signal, sizeof(int));
	if (r < 0)
		log_warn(TASK_FORMAT
			 ": whether its first thread, which has ended, had asked for a signal at the end of its "
			 "parent cannot be told: %s",
			 TASK_ARGS(task), strerror(-r));
}

static bool has_parents_adjustment(const struct task *task)
{
	const struct task *parent = task->parent;

	return parent && parent->state && parent->state->oom_score_adj == task->state->oom_score_adj;
}

/*
 * What nobody has raised cannot be lowered either: where the kernel's structures have to be read for it, only those of
 * processes that have an adjustment are.
 */
void task_look_oom_score_adj_min(struct dump *d, const struct task *task)
{
	const struct task_facts *facts = task->thread_count ? task->threads[0].facts : NULL;
	struct task_state *state = task->state;
	uint64_t thread = 0, process = 0;
	struct kernel_memory *km;
	int16_t lowest = 0;
	int r;

	state->oom_score_adj_min = facts ? facts->oom_score_adj_min : state->oom_score_adj;
	if (facts || !state->oom_score_adj)
		return;
	r = dump_kernel_memory(d, &km);
	if (r == 0)
		r = kernel_memory_ended_leader(km, task->pidfd, &thread);
	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "signal", &process);
	if (r == 0)
		r = KERNEL_MEMBER(km, process, "signal_struct", "oom_score_adj_min", &lowest);
	if (r == 0)
		state->oom_score_adj_min = lowest;
	else if (!has_parents_adjustment(task))
		log_warn(TASK_FORMAT
			 ": how far it, and who has inherited that, may lower its oom_score_adj (%d) without "
			 "CAP_SYS_RESOURCE cannot be told: %s",
			 TASK_ARGS(task), state->oom_score_adj, strerror(-r));
}

/* One scheduling group per session; that of a session which began outside of the tree stays outside. */
static void look_autogroup(struct task *task)
{
	const struct task *parent = task->parent;

	if (parent ? parent->stat.sid == task->stat.sid : task->stat.sid != task->host_pid)
		return;
	/* Without such groups there is nothing to be known. */
	if (proc_read_autogroup_nice(task->procfd, &task->state->autogroup_nice) < 0)
		task->state->autogroup_nice = 0;
}

static int look_process(struct task *task, struct error *err)
{
	const struct task_facts *facts = task->thread_count ? task->threads[0].facts : NULL;
	struct task_state *state = task->state;
	int r = 0;

	if (!facts || facts->has_posix_timers)
		r = proc_timers_read(task->procfd, &state->timers, &state->timer_count);
	if (r < 0 && r != -ENOENT)
		return error_set(err, r, TASK_FORMAT ": read its timers", TASK_ARGS(task));
	r = 0;
	if (facts)
		state->oom_score_adj = facts->oom_score_adj;
	else
		r = proc_read_oom_score_adj(task->procfd, &state->oom_score_adj);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read its attributes", TASK_ARGS(task));
	look_autogroup(task);
	state->has_loginuid = facts && facts->has_loginuid;
	if (state->has_loginuid)
		state->loginuid = facts->loginuid;
	else
		state->has_loginuid = proc_read_loginuid(task->procfd, &state->loginuid) == 0;
	if (!state->has_loginuid || state->loginuid == (uint32_t)-1)
		state->audit_session = 0;
	else if (facts && facts->has_loginuid)
		state->audit_session = facts->audit_session;
	else if (proc_read_sessionid(task->procfd, &state->audit_session) < 0)
		state->audit_session = 0;
	state->has_coredump_filter = facts && facts->has_coredump_filter;
	if (state->has_coredump_filter)
		state->coredump_filter = facts->coredump_filter;
	else
		state->has_coredump_filter = proc_read_coredump_filter(task->procfd, &state->coredump_filter) == 0;
	return 0;
}

int task_look(struct dump *d, struct task *task, struct error *err)
{
	int r;

	(void)d;
	task->state = calloc(1, sizeof(*task->state));
	if (!task->state)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	r = look_process(task, err);
	if (r == 0 && task->ended_leader)
		r = look_ended_leader(task, task->ended_leader, err);
	for (size_t i = 0; i < task->thread_count && r == 0; i++)
		r = look_thread(task, &task->threads[i], err);
	if (r == 0)
		r = map_flags_read(d, task, err);
	return r;
}

/* --- by ptrace --------------------------------------------------------------------------------------------------- */

static int look_registers(const struct task *task, struct task_thread *thread, void *area, struct error *err)
{
	ssize_t bytes = compel_get_xstate(thread->tid, area, xstate_bytes());
	int r;

	if (bytes < 0)
		return error_set(err, (int)bytes, "read the extended registers");
	r = xstate_to_image(area, (size_t)bytes, &thread->state->fpregs, err);
	if (r < 0)
		return r;
	if (!regs_is_native(&thread->regs)) {
		error_hint(err, "dump it with a program that handles 32-bit tasks, or run its 64-bit build");
		return error_say(err, -ENOTSUP, "it runs 32-bit code, which is not supported yet");
	}
	/* What cannot be set cannot be given back either, once the registers have been borrowed. */
	r = regs_check(&thread->regs, err);
	if (r < 0)
		return r;
	if (thread->facts && !thread->facts->has_tls)
		tls_clear(thread->state->tls);
	else
		r = tls_read(thread->tid, thread->state->tls);
	if (r < 0)
		return error_set(err, r, "read its TLS descriptors");
	if (!thread->facts_own && has_io_ports(thread->tid))
		return error_say(err, -ENOTSUP, "may use I/O ports (ioperm), which is not supported yet");
	if (thread->facts_own && !thread->facts_own->breakpoints)
		return 0;
	r = debug_registers_read(thread->tid, thread->state->debug_registers, &thread->state->has_debug_registers);
	if (r < 0)
		return error_set(err, r, "read its debug registers");
	(void)task;
	return 0;
}

static int look_signals(struct task *task, struct task_thread *thread, bool is_leader, struct error *err)
{
	int r = 0;

	if (thread->status.sig_pending)
		r = ptrace_read_siginfo_queue(thread->tid, false, &thread->state->signals);
	if (r == 0)
		r = siginfo_queue_add_bare(&thread->state->signals, thread->status.sig_pending);
	if (r == 0 && is_leader && thread->status.sig_shared_pending)
		r = ptrace_read_siginfo_queue(thread->tid, true, &task->state->signals);
	if (r == 0 && is_leader)
		r = siginfo_queue_add_bare(&task->state->signals, thread->status.sig_shared_pending);
	return r < 0 ? error_set(err, r, "read its pending signals") : 0;
}

/*
 * Where ptrace(2) does not tell it, and the thread has switched it on, the first call that we make in it would end the
 * process.
 */
static int check_hidden_user_dispatch(struct dump *d, const struct task *task, pid_t tid, struct error *err)
{
	struct kernel_memory *km;
	uint64_t thread = 0, work = 0;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = kernel_memory_thread(km, task->pidfd, tid, &thread);
	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "thread_info", "syscall_work", &work);
	if (r < 0 || !(work & THREAD_USER_DISPATCH))
		return 0;
	error_hint(err, "Linux 6.4 and later tell how");
	return error_say(err, -ENOTSUP,
			 "it catches its system calls (syscall user dispatch), which this kernel does "
			 "not let us read");
}

static int look_traced_thread(struct dump *d, struct task *task, struct task_thread *thread, void *area,
			      struct error *err)
{
	int r = look_registers(task, thread, area, err);

	if (r == 0)
		r = look_signals(task, thread, thread == task->threads, err);
	if (r == 0)
		r = seccomp_look(task, thread, err);
	if (r < 0)
		return r;
	if (!thread->facts_own)
		r = ptrace_read_rseq_config(thread->tid, &thread->state->rseq);
	if (r < 0 && r != -EOPNOTSUPP)
		return error_set(err, r, "read its rseq area");
	thread->state->has_rseq = r == 0;
	if (thread->facts_own && !(thread->facts_own->syscall_work & THREAD_USER_DISPATCH))
		return 0;
	r = feature_is_masked("syscall_user_dispatch")
		? -EOPNOTSUPP
		: ptrace_read_user_dispatch(thread->tid, &thread->state->user_dispatch);
	if (r == -EOPNOTSUPP)
		return check_hidden_user_dispatch(d, task, thread->tid, err);
	return r < 0 ? error_set(err, r, "read whether it catches its system calls") : 0;
}

int task_look_traced(struct dump *d, struct task *task, struct error *err)
{
	AUTO_FREE void *area = aligned_alloc(64, (xstate_bytes() + 63) & ~(size_t)63);

	if (!area)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	for (size_t i = 0; i < task->thread_count; i++) {
		int r = task->threads[i].tid == task->vfork_tid
			    ? 0
			    : look_traced_thread(d, task, &task->threads[i], area, err);

		if (r < 0) {
			error_prefix(err, TASK_FORMAT ", thread %d", TASK_ARGS(task), task->threads[i].tid);
			return r;
		}
	}
	return 0;
}

/* --- release ----------------------------------------------------------------------------------------------------- */

static void free_thread(struct task_thread *thread)
{
	proc_status_done(&thread->status);
	seccomp_free(thread);
	if (!thread->state)
		return;
	if (thread->state->fpregs)
		user_x86_fpregs_entry__free_unpacked(thread->state->fpregs, NULL);
	siginfo_queue_done(&thread->state->signals);
	free(thread->state->affinity);
	free(thread->state);
	thread->state = NULL;
}

void task_look_free(struct task *task)
{
	likeness_free(task);
	for (size_t i = 0; i < task->thread_count; i++)
		free_thread(&task->threads[i]);
	if (task->ended_leader)
		free_thread(task->ended_leader);
	proc_maps_done(&task->maps);
	map_flags_forget(task);
	if (!task->state)
		return;
	siginfo_queue_done(&task->state->signals);
	free(task->state->timers);
	free(task->state->hidden_timers);
	free(task->state->late_timers);
	free(task->state->ldt);
	free(task->state);
	task->state = NULL;
}
