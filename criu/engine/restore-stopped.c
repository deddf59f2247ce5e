/*
 * Stopping restored processes again, each thread in the call it was in.
 */
#include "engine/restore-stopped.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/x86/syscall-restart.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/hand-over.h"
#include "engine/restore.h"
#include "engine/traced-thread.h"
#include "kernel/missing-ptrace.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "mm/restore-area.h"

#define TASK_STOPPED 3 /* task_state in an image */
#define STOP_NS      1000000000ull
#define STOP_SOON_NS 100000000ull

bool restore_was_stopped(const struct restore_task *task)
{
	return task->restorer && task->image->threads[0].core->tc->task_state == TASK_STOPPED;
}

static int enter_call(const struct restorer_thread *thread, uint64_t code_address, struct user_regs_struct *call)
{
	struct user_regs_struct regs;
	int r = compel_get_regs(thread->tid, &regs);

	if (r < 0)
		return r;
	call->rip = code_address;
	call->rsp = regs.rsp;
	call->eflags = regs.eflags;
	call->cs = regs.cs;
	call->ss = regs.ss;
	call->orig_rax = ~0ull;
	r = compel_set_regs(thread->tid, call);
	if (r == 0)
		r = traced_request(PTRACE_SYSCALL, thread->tid, 0, 0);
	return r < 0 ? r : traced_wait_syscall(thread);
}

static int leave_call(const struct restorer_thread *thread, int64_t *ret_result)
{
	struct user_regs_struct regs;
	int r = traced_request(PTRACE_SYSCALL, thread->tid, 0, 0);

	if (r == 0)
		r = traced_wait_syscall(thread);
	if (r == 0)
		r = compel_get_regs(thread->tid, &regs);
	if (r == 0)
		*ret_result = (int64_t)regs.rax;
	return r;
}

static int call_now(const struct restorer_thread *thread, uint64_t code_address, struct user_regs_struct *call,
		    int64_t *ret_result)
{
	int r = enter_call(thread, code_address, call);

	return r < 0 ? r : leave_call(thread, ret_result);
}

static bool has_pending(const SignalQueueEntry *queue, int signal)
{
	for (size_t i = 0; queue && i < queue->n_signals; i++)
		if (queue->signals[i]->siginfo.len >= sizeof(int) &&
		    *(const int *)(const void *)queue->signals[i]->siginfo.data == signal)
			return true;
	return false;
}

static int collect_stop(struct restorer_thread *parent, uint64_t code_address, pid_t pid)
{
	struct user_regs_struct call = {
		.rax = SYS_waitid, .rdi = P_PID, .rsi = (uint64_t)pid, .r10 = WSTOPPED | WNOHANG
	};
	int64_t result = 0;
	int r = call_now(parent, code_address, &call, &result);

	return r < 0 ? r : (int)result;
}

/* What the call reads stands on the blob's stack, which is not in use any more. */
static int drop_sigchld(struct restorer_thread *parent, uint64_t code_address)
{
	uint64_t *words = (uint64_t *)(parent->stack_top - RESTORER_THREAD_STACK_BYTES / 2);
	struct user_regs_struct call = { .rax = SYS_rt_sigtimedwait,
					 .rdi = (uint64_t)&words[0],
					 .rdx = (uint64_t)&words[1],
					 .r10 = sizeof(words[0]) };
	int64_t result = 0;
	int r;

	words[0] = 1ull << (SIGCHLD - 1);
	words[1] = words[2] = 0;
	r = call_now(parent, code_address, &call, &result);
	/* There is none where the parent does not want to hear of stops. */
	return r < 0 || result > 0 || result == -EAGAIN ? r : (int)result;
}

/* Its last thread completes the stop: then there is something to wait for. */
void restore_wait_until_stopped(const struct restorer_task *task)
{
	AUTO_CLOSE int procfd = proc_open(traced_acting(task)->tid);
	const uint64_t deadline = now_ns() + STOP_NS;
	struct proc_stat stat;

	while (procfd >= 0 && proc_stat_read(procfd, "stat", &stat) == 0 &&
	       (stat.state != 'T' || stat.exit_code == 0) && now_ns() < deadline)
		(void)usleep(100);
}

static int settle_with_parent(const struct restore_task *task, uint64_t code_address)
{
	const TaskCoreEntry *tc = task->image->threads[0].core->tc;
	const struct restore_task *parent = task->parent;
	int r = 0;

	if (!tc->has_stopped_uncollected || !parent || !parent->restorer)
		return 0;
	restore_wait_until_stopped(task->restorer);
	if (!tc->stopped_uncollected)
		r = collect_stop(traced_acting(parent->restorer), code_address, task->pid);
	if (r == 0 && !has_pending(parent->image->threads[0].core->tc->signals_s, SIGCHLD))
		r = drop_sigchld(traced_acting(parent->restorer), code_address);
	return r;
}

static bool stops_soon(pid_t tid)
{
	const uint64_t deadline = now_ns() + STOP_SOON_NS;
	siginfo_t info = { 0 };

	while (waitid(P_PID, (id_t)tid, &info, WEXITED | WSTOPPED | __WALL | WNOWAIT | WNOHANG) == 0 && !info.si_pid &&
	       now_ns() < deadline)
		(void)usleep(100);
	return info.si_pid != 0;
}

/*
 * The signal stops it while all others are blocked and the threads are still ours: what is pending for the task waits
 * until the stop is over. The kernel keeps the stop in mind: whoever is let go stands still at once. Signals of the
 * terminal do not stop whom nobody controls, and a SIGCONT may just then have taken the signal away: it is sent again.
 */
static int stop_thread(const struct restorer_thread *thread)
{
	bool is_taken, is_lost = false;
	int status, r;

	for (;;) {
		r = traced_wait_stop(thread, &status);
		if (r < 0 || (status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP))
			return r;
		if (is_lost)
			(void)kill(thread->task->pid, SIGSTOP);
		is_taken = traced_stop_signal(status) != 0;
		r = is_taken ? traced_interrupt(thread->tid) : 0;
		if (r == 0)
			r = traced_request(PTRACE_CONT, thread->tid, 0, traced_stop_signal(status));
		is_lost = is_taken || !stops_soon(thread->tid);
		if (r == 0 && is_lost && !is_taken)
			r = traced_interrupt(thread->tid);
		if (r < 0)
			return r;
	}
}

static int stop_all(const struct restorer_task *task)
{
	int r = compel_set_signal_mask(traced_acting(task)->tid, ~(1ull << (task->stop_signal - 1)));

	if (r == 0 && kill(task->pid, (int)task->stop_signal) < 0)
		r = -errno;
	task->slot->stop_sent = 1;
	/* The first one takes the signal, all others are told of it by then. */
	for (uint64_t i = task->acting; r == 0 && i < task->thread_count; i++)
		r = stop_thread(&task->threads[i]);
	return r;
}

/*
 * In a call that waits with another mask (sigsuspend, ppoll ...) the kernel shows that one, and has noted the one to
 * come back to. So a sigsuspend begins, and ends at once by an interruption, with the registers of the thread's own
 * call: the kernel gives its mask back when that is made again. All depends on the thread not looking at its signals
 * between its call and the stop: the mask it comes back to is set when the call has begun already.
 */
static int wait_with_mask(const struct restorer_thread *thread, uint64_t code_address, bool is_stub)
{
	/* Of the stub nothing but the place is left to use: once the call has begun, the mask stands there. */
	const uint64_t mask_address = is_stub ? code_address : (uint64_t)&thread->waiting_mask;
	struct user_regs_struct call = { .rax = SYS_rt_sigsuspend,
					 .rdi = mask_address,
					 .rsi = sizeof(thread->waiting_mask) };
	int64_t result = 0;
	int r = enter_call(thread, code_address, &call);

	if (r == 0 && is_stub)
		r = traced_request(PTRACE_POKEDATA, thread->tid, mask_address, thread->waiting_mask);
	if (r == 0)
		r = traced_interrupt(thread->tid);
	if (r == 0)
		r = compel_set_signal_mask(thread->tid, thread->signal_mask);
	if (r == 0)
		r = leave_call(thread, &result);
	return r == 0 && !syscall_was_interrupted(result) ? -EPROTO : r;
}

static int make_stopped_final(struct restorer_thread *thread, uint64_t code_address, bool is_stub)
{
	int r = -ENOTSUP;

	if (thread->has_waiting_mask && code_address) {
		r = wait_with_mask(thread, code_address, is_stub);
		if (r < 0)
			log_warn("thread %d: while it is stopped it shows another signal mask: error %d\n", thread->tid,
				 r);
	}
	return r < 0 ? traced_make_final(thread) : traced_set_registers(thread);
}

static int make_stopped_others_final(const struct restorer_task *task)
{
	int r = 0;

	for (uint64_t i = task->acting + 1; r == 0 && i < task->thread_count; i++)
		r = make_stopped_final(&task->threads[i], task->call_code, false);
	return r;
}

static int complete_stopped_leader(const struct restorer_task *task)
{
	int r = make_stopped_final(traced_acting(task), task->stub_is_own ? 0 : task->stub_addr, true);

	if (r == 0)
		hand_over_remove_stub(task);
	return r;
}

/* It finds the stop before it looks at what is pending. */
static int let_go_stopped(const struct restorer_task *task)
{
	if (task->stop_is_pending)
		(void)kill(task->pid, SIGSTOP);
	return hand_over_let_go(task);
}

static const struct hand_over_step stopped_steps[] = {
	{ stop_all, "stop it" },
	{ make_stopped_others_final, "set the registers of its threads" },
	{ hand_over_begin_unmap, "inject a system call" },
	{ hand_over_enter_unmap, "unmap the restore area" },
	{ hand_over_end_unmap, "unmap the restore area" },
	{ complete_stopped_leader, "set its registers" },
	{ let_go_stopped, "detach from it" },
};

void restore_hand_over_stopped(struct restore *r, uint64_t code_address, struct error *err, int *result)
{
	for (size_t i = r->task_count; i-- > 0;) {
		const struct restore_task *task = r->tasks[i];
		int one;

		if (!restore_was_stopped(task))
			continue;
		task->restorer->call_code = code_address;
		for (size_t step = 0; step < ARRAY_SIZE(stopped_steps); step++)
			hand_over_run(task, &stopped_steps[step], err, result);
		one = settle_with_parent(task, code_address);
		if (one < 0)
			log_warn("pid %d: its parent hears once more of its stop: error %d\n", task->pid, one);
	}
}

static bool stands_still(int procfd, pid_t tid)
{
	char path[64];
	struct proc_stat stat;

	(void)snprintf(path, sizeof(path), "task/%d/stat", tid);
	return proc_stat_read(procfd, path, &stat) < 0 || strchr("TZX", stat.state);
}

void restore_await_stops(const struct restore *r)
{
	const uint64_t deadline = now_ns() + STOP_NS;

	for (size_t i = 0; i < r->task_count; i++) {
		const struct restorer_task *task = r->tasks[i]->restorer;
		AUTO_CLOSE int procfd = task && task->stop_signal ? proc_open((pid_t)task->pid) : -1;

		for (uint64_t k = task ? task->acting : 0; procfd >= 0 && k < task->thread_count; k++)
			while (!stands_still(procfd, (pid_t)task->threads[k].tid) && now_ns() < deadline)
				(void)usleep(100);
	}
}
