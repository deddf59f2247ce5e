/*
 * The last thing of ours in a process is the restore area. Its leader unmaps it with an injected system call, from a
 * stub in the zero bytes behind the vdso's image: if the worker dies right then, the leader sleeps there until the
 * rescuer finds it. Other threads have their registers by then. A task without a vdso makes the call from the blob
 * itself, where this one moment is not covered.
 *
 * Where a thread stands tells how far it has come: in the area, nothing has been done for it; on the stub, the area is
 * being unmapped; anywhere else, it is the program's.
 */
#include "engine/restore-resume.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/x86/debug-registers.h"
#include "arch/x86/syscall-restart.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/restore-check.h"
#include "engine/restore-sync.h"
#include "engine/restore.h"
#include "kernel/missing-ptrace.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "kernel/ptrace-info.h"
#include "mm/restore-area.h"

/*
 * syscall; mov $SYS_pause, %al; jmp back: munmap has left 0 in rax, so that the next call is pause(), which nothing
 * ends as long as all signals are blocked.
 */
#define STUB_CODE    0xfaeb22b0050full
#define STUB_BYTES   6
#define TASK_STOPPED 3 /* task_state in an image */
#define STOP_NS      1000000000ull
#define STOP_SOON_NS 100000000ull
#define SYSCALL_STOP (SIGTRAP | 0x80)

extern const char pie_restorer_start[], pie_restorer_end[];

/* The one that makes the calls for its process: the leader, unless that has ended again. */
static struct restorer_thread *acting_thread(const struct restorer_task *task)
{
	return &task->threads[task->acting];
}

static unsigned long seize_options(const struct restorer_thread *thread)
{
	return PTRACE_O_TRACESYSGOOD | (thread->is_filtered ? PTRACE_O_SUSPEND_SECCOMP : 0);
}

/*
 * A stop is looked at, not collected: with that the kernel would forget the signal which the thread is about to take,
 * and if we were killed before it was passed on, that would be lost. An end is collected.
 */
static int wait_for_stop(pid_t tid, int *ret_status)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)tid, &info, WEXITED | WSTOPPED | __WALL | WNOWAIT) < 0)
		if (errno != EINTR)
			return -errno;
	if (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED) {
		*ret_status = W_STOPCODE(info.si_status);
		return 0;
	}
	while (waitpid(tid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return -ESRCH;
}

/* The signal that a stop is about; 0: there is none. */
static unsigned long stop_signal(int status)
{
	return status >> 16 || WSTOPSIG(status) == SYSCALL_STOP ? 0 : (unsigned long)WSTOPSIG(status);
}

static int trace(long request, pid_t tid, unsigned long address, unsigned long data)
{
	return ptrace((enum __ptrace_request)request, tid, address, data) < 0 ? -errno : 0;
}

static int wait_for_syscall_stop(pid_t tid)
{
	int status, r;

	for (;;) {
		r = wait_for_stop(tid, &status);
		if (r < 0 || WSTOPSIG(status) == SYSCALL_STOP)
			return r;
		/* Only SIGSTOP gets through: it takes effect when the thread is let go. */
		r = trace(PTRACE_SYSCALL, tid, 0, stop_signal(status));
		if (r < 0)
			return r;
	}
}

/* --- before the commit point ------------------------------------------------------------------------------------- */

typedef int (*thread_step)(struct restorer_thread *thread);

static int for_all_threads(struct restore *r, thread_step step, const char *what, struct error *err)
{
	for (size_t i = 0; i < r->task_count; i++) {
		struct restorer_task *task = r->tasks[i]->restorer;

		for (uint64_t k = task ? task->acting : 0; task && k < task->thread_count; k++) {
			int result = step(&task->threads[k]);

			if (result == 0)
				continue;
			/* A dead one is the better explanation. */
			if (restore_look_after(r, err) < 0)
				return err->code;
			return error_set(err, result, "pid %d, thread %d: %s", task->pid, task->threads[k].tid, what);
		}
	}
	return 0;
}

static int seize(struct restorer_thread *thread)
{
	return trace(PTRACE_SEIZE, thread->tid, 0, seize_options(thread));
}

static int seize_filtered(struct restorer_thread *thread)
{
	return thread->is_filtered ? seize(thread) : 0;
}

static int seize_unfiltered(struct restorer_thread *thread)
{
	return thread->is_filtered ? 0 : seize(thread);
}

static int interrupt(pid_t tid)
{
	return trace(PTRACE_INTERRUPT, tid, 0, 0);
}

static int interrupt_thread(struct restorer_thread *thread)
{
	return interrupt(thread->tid);
}

static int write_user_dispatch(pid_t tid, const uint64_t config[4])
{
	const struct syscall_user_dispatch dispatch = { config[0], config[1], config[2], config[3] };

	return ptrace_write_user_dispatch(tid, &dispatch);
}

/* It is set last of all, when there is no way back: so it is tried here. */
static int try_user_dispatch(const struct restorer_thread *thread)
{
	static const uint64_t off[4];
	int r;

	if (!thread->user_dispatch[0])
		return 0;
	r = write_user_dispatch(thread->tid, thread->user_dispatch);
	return r < 0 ? r : write_user_dispatch(thread->tid, off);
}

/* A thread that makes a call of ours must not catch it. */
static int set_user_dispatch(struct restorer_thread *thread)
{
	int r;

	if (!thread->user_dispatch[0] || thread->user_dispatch_set)
		return 0;
	r = write_user_dispatch(thread->tid, thread->user_dispatch);
	if (r == 0)
		thread->user_dispatch_set = 1;
	return r;
}

/*
 * Whatever stops a thread that has all signals blocked is what we want. So one whose further stops nobody waits for is
 * tried first: mostly it stands still already.
 */
static bool may_go_unwaited(const struct restorer_thread *thread)
{
	return thread != acting_thread(thread->task) && !thread->call_number;
}

/* Somebody may stop the process just then: it is stopped when it is let go. */
static int wait_for_interruption(const struct restorer_thread *thread)
{
	int status, r;

	for (;;) {
		r = wait_for_stop(thread->tid, &status);
		if (r < 0 || status >> 16 == PTRACE_EVENT_STOP)
			return r;
		/* Any stop uses the interruption up. */
		r = interrupt(thread->tid);
		if (r == 0)
			r = trace(PTRACE_CONT, thread->tid, 0, stop_signal(status));
		if (r < 0)
			return r;
	}
}

static int set_extended_registers(struct restorer_thread *thread)
{
	return thread->xstate_outside ? compel_set_xstate(thread->tid, thread->xstate, thread->xstate_bytes) : 0;
}

/* Nothing of it is to be done for most threads: of those the first request that follows finds out whether they stand.
 */
static int stop_and_prepare(struct restorer_thread *thread)
{
	const bool is_prepared = thread->xstate_outside || thread->debug_registers || thread->user_dispatch[0];
	int r = 0;

	if (!may_go_unwaited(thread) || is_prepared)
		r = wait_for_interruption(thread);
	if (r == 0)
		r = set_extended_registers(thread);
	if (r == 0 && thread->debug_registers)
		r = debug_registers_write(thread->tid, thread->debug_registers);
	return r < 0 ? r : try_user_dispatch(thread);
}

int restore_trace_filtered(struct restore *r, struct error *err)
{
	struct restorer_shared *words = &r->shared->words;
	int result = for_all_threads(r, seize_filtered, "trace it with its seccomp filters suspended", err);

	if (result < 0) {
		if (result == -EPERM)
			error_hint(err,
				   "seccomp filters are restored with CAP_SYS_ADMIN, by a process without filters");
		return result;
	}
	restore_open_gate(&words->seccomp_go);
	return 0;
}

int restore_take_over(struct restore *r, struct error *err)
{
	int result = for_all_threads(r, seize_unfiltered, "attach to it", err);

	if (result == 0)
		result = for_all_threads(r, interrupt_thread, "stop it", err);
	if (result == 0)
		result = for_all_threads(r, stop_and_prepare,
					 "set its extended and debug registers and its syscall user dispatch", err);
	return result;
}

/* --- behind it --------------------------------------------------------------------------------------------------- */

static bool is_in_area(const struct restorer_task *task, uint64_t address)
{
	return address >= task->area_start && address - task->area_start < task->area_bytes;
}

static bool is_on_stub(const struct restorer_task *task, uint64_t address)
{
	return task->stub_addr && address >= task->stub_addr && address - task->stub_addr < STUB_BYTES;
}

/* --- calls that were waiting ------------------------------------------------------------------------------------- */

/*
 * A call that only the kernel can go on with is made once more, for what is left of its time, with an interruption
 * waiting already: it returns at once, and the kernel has noted how to go on.
 */
static const uint8_t call_code[] = { 0x0f, 0x05, 0xf3, 0x90, 0xeb, 0xfc };

static uint64_t find_call_code(const struct restore *r)
{
	const char *found =
	    memmem(pie_restorer_start, (size_t)(pie_restorer_end - pie_restorer_start), call_code, sizeof(call_code));

	return found ? (uint64_t)r->shared->entry + (uint64_t)(found - pie_restorer_start) : 0;
}

static int begin_call(struct restorer_thread *thread, uint64_t code_address)
{
	struct user_regs_struct regs;
	int r;

	thread->call_address = code_address;
	syscall_make_elsewhere(thread->regs, code_address, (uint64_t)thread->call_time, thread->call_ns, &regs);
	r = compel_set_regs(thread->tid, &regs);
	return r < 0 ? r : trace(PTRACE_SYSCALL, thread->tid, 0, 0);
}

static int interrupt_call(const struct restorer_thread *thread)
{
	int r = wait_for_syscall_stop(thread->tid);

	if (r == 0)
		r = interrupt(thread->tid);
	return r < 0 ? r : trace(PTRACE_SYSCALL, thread->tid, 0, 0);
}

static int end_call(struct restorer_thread *thread)
{
	struct user_regs_struct regs;
	int r = wait_for_syscall_stop(thread->tid);

	if (r == 0)
		r = compel_get_regs(thread->tid, &regs);
	if (r < 0)
		return r;
	thread->call_result = (int64_t)regs.rax;
	thread->call_made = 1;
	return 0;
}

static void make_call(struct restorer_thread *thread, uint64_t code_address, int step)
{
	int r;

	if (!thread->call_number)
		return;
	if (step == 0)
		r = begin_call(thread, code_address);
	else if (step == 1)
		r = interrupt_call(thread);
	else
		r = end_call(thread);
	if (r == 0)
		return;
	log_warn("thread %d: its call waits for its whole time: error %d\n", thread->tid, r);
	thread->call_number = 0;
}

static int set_signal_mask(const struct restorer_thread *thread)
{
	int r = compel_set_signal_mask(thread->tid, thread->signal_mask);

	/* It is on its way to where it stops. */
	if (r == -ESRCH && may_go_unwaited(thread) && wait_for_interruption(thread) == 0)
		r = compel_set_signal_mask(thread->tid, thread->signal_mask);
	return r;
}

static int set_own_registers(struct restorer_thread *thread)
{
	struct user_regs_struct regs = *(const struct user_regs_struct *)thread->regs;
	int r;

	if (!(thread->call_made && syscall_take_result(thread->call_number, thread->call_result, &regs)) &&
	    thread->restart_code)
		syscall_leave_to_kernel(thread->restart_code, &regs);
	r = compel_set_regs(thread->tid, &regs);
	if (r == 0 && thread->rseq_cs)
		(void)trace(PTRACE_POKEDATA, thread->tid, thread->rseq_address + 8, thread->rseq_cs);
	return r < 0 ? r : set_user_dispatch(thread);
}

/* The mask first: from the moment the registers are its own the thread must be complete. */
static int make_final(struct restorer_thread *thread)
{
	int r = set_signal_mask(thread);

	return r < 0 ? r : set_own_registers(thread);
}

static int make_others_final(const struct restorer_task *task)
{
	int r = 0;

	for (uint64_t i = task->acting + 1; r == 0 && i < task->thread_count; i++)
		r = make_final(&task->threads[i]);
	return r;
}

static int begin_unmap(const struct restorer_task *task)
{
	const pid_t tid = acting_thread(task)->tid;
	struct user_regs_struct regs;
	int r = compel_get_regs(tid, &regs);

	if (r < 0)
		return r;
	if (!task->stub_is_own) {
		task->slot->stub_poked = 1;
		r = trace(PTRACE_POKEDATA, tid, task->stub_addr, STUB_CODE);
		if (r < 0)
			return r;
	}
	regs.rip = task->stub_addr;
	regs.rax = SYS_munmap;
	regs.orig_rax = ~0ull;
	regs.rdi = task->area_start;
	regs.rsi = task->area_bytes;
	r = compel_set_regs(tid, &regs);
	return r < 0 ? r : trace(PTRACE_SYSCALL, tid, 0, 0);
}

static int enter_unmap(const struct restorer_task *task)
{
	int r = wait_for_syscall_stop(acting_thread(task)->tid);

	return r < 0 ? r : trace(PTRACE_SYSCALL, acting_thread(task)->tid, 0, 0);
}

static int end_unmap(const struct restorer_task *task)
{
	const pid_t tid = acting_thread(task)->tid;
	struct user_regs_struct regs;
	int r = wait_for_syscall_stop(tid);

	if (r == 0)
		r = compel_get_regs(tid, &regs);
	if (r == 0 && regs.rax != 0)
		log_warn("pid %d: the restore area stays mapped: %lld\n", task->pid, (long long)regs.rax);
	return r;
}

static void remove_stub(const struct restorer_task *task)
{
	if (!task->slot->stub_poked)
		return;
	if (trace(PTRACE_POKEDATA, acting_thread(task)->tid, task->stub_addr, 0) == 0)
		task->slot->stub_poked = 0;
}

static int complete_leader(const struct restorer_task *task)
{
	int r = make_final(acting_thread(task));

	if (r == 0)
		remove_stub(task);
	return r;
}

/*
 * A thread that stands where it was interrupted goes on as it is when its tracer ends. One that is in a system call of
 * ours would be sent the signal that this stop is reported as, and a task that is to stop is waited for before that
 * end.
 */
static bool goes_by_itself(const struct restorer_thread *thread)
{
	return thread->task->shared->tracer_ends && may_go_unwaited(thread) && !thread->task->stop_signal;
}

/* Of one that nobody has waited for: somebody else's SIGSTOP, which it was about to take. */
static unsigned long signal_to_pass(const struct restorer_thread *thread)
{
	siginfo_t info;

	return may_go_unwaited(thread) && ptrace(PTRACE_GETSIGINFO, thread->tid, 0, &info) == 0 &&
		       info.si_signo == SIGSTOP && info.si_code >> 8 != PTRACE_EVENT_STOP
		   ? SIGSTOP
		   : 0;
}

static int detach(const struct restorer_thread *thread)
{
	return goes_by_itself(thread) ? 0 : trace(PTRACE_DETACH, thread->tid, 0, signal_to_pass(thread));
}

/* The pending signal takes effect before the task runs a single instruction. */
static int let_go(const struct restorer_task *task)
{
	int result = 0;

	if (task->stop_signal && !task->slot->stop_sent) {
		(void)kill(task->pid, (int)task->stop_signal);
		task->slot->stop_sent = 1;
	}
	for (uint64_t i = task->acting; i < task->thread_count; i++) {
		int r = detach(&task->threads[i]);

		if (r < 0 && r != -ESRCH)
			result = r;
	}
	return result;
}

struct hand_over_step {
	int (*run)(const struct restorer_task *task);
	const char *what;
};

static const struct hand_over_step hand_over_steps[] = {
	{ make_others_final, "set the registers of its threads" },
	{ begin_unmap, "inject a system call" },
	{ enter_unmap, "unmap the restore area" },
	{ end_unmap, "unmap the restore area" },
	{ complete_leader, "set its registers" },
	{ let_go, "detach from it" },
};

/* A thread whose call cannot be made makes it itself, for the whole time. */
static void make_calls(struct restore *r, uint64_t code_address)
{
	for (int step = 0; code_address && step < 3; step++)
		for (size_t i = 0; i < r->task_count; i++) {
			struct restorer_task *task = r->tasks[i]->restorer;

			for (uint64_t k = task ? task->acting : 0; task && k < task->thread_count; k++)
				make_call(&task->threads[k], code_address, step);
		}
}

/* Behind its own steps a task runs: the first failure is kept, a task that has died meanwhile is let be. */
static void run_step(const struct restore_task *task, const struct hand_over_step *step, struct error *err, int *result)
{
	int one = task->restorer ? step->run(task->restorer) : 0;

	if (one == 0)
		return;
	log_error("pid %d: cannot %s: error %d\n", task->pid, step->what, one);
	if (*result == 0)
		*result = error_set(err, one, "pid %d: %s", task->pid, step->what);
}

/* --- stopped tasks ----------------------------------------------------------------------------------------------- */

/*
 * A task that was stopped stops again by a signal, of which its parent would hear once more. So these go first,
 * children before parents, and each parent then does, in calls from outside, what it had done before: it has waited for
 * the stop, or at least has no signal for it.
 */
static bool was_stopped(const struct restore_task *task)
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
		r = trace(PTRACE_SYSCALL, thread->tid, 0, 0);
	return r < 0 ? r : wait_for_syscall_stop(thread->tid);
}

static int leave_call(const struct restorer_thread *thread, int64_t *ret_result)
{
	struct user_regs_struct regs;
	int r = trace(PTRACE_SYSCALL, thread->tid, 0, 0);

	if (r == 0)
		r = wait_for_syscall_stop(thread->tid);
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
static void wait_until_stopped(const struct restorer_task *task)
{
	AUTO_CLOSE int procfd = proc_open(acting_thread(task)->tid);
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
	wait_until_stopped(task->restorer);
	if (!tc->stopped_uncollected)
		r = collect_stop(acting_thread(parent->restorer), code_address, task->pid);
	if (r == 0 && !has_pending(parent->image->threads[0].core->tc->signals_s, SIGCHLD))
		r = drop_sigchld(acting_thread(parent->restorer), code_address);
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
		r = wait_for_stop(thread->tid, &status);
		if (r < 0 || (status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP))
			return r;
		if (is_lost)
			(void)kill(thread->task->pid, SIGSTOP);
		is_taken = stop_signal(status) != 0;
		r = is_taken ? interrupt(thread->tid) : 0;
		if (r == 0)
			r = trace(PTRACE_CONT, thread->tid, 0, stop_signal(status));
		is_lost = is_taken || !stops_soon(thread->tid);
		if (r == 0 && is_lost && !is_taken)
			r = interrupt(thread->tid);
		if (r < 0)
			return r;
	}
}

static int stop_all(const struct restorer_task *task)
{
	int r = compel_set_signal_mask(acting_thread(task)->tid, ~(1ull << (task->stop_signal - 1)));

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
		r = trace(PTRACE_POKEDATA, thread->tid, mask_address, thread->waiting_mask);
	if (r == 0)
		r = interrupt(thread->tid);
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
	return r < 0 ? make_final(thread) : set_own_registers(thread);
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
	int r = make_stopped_final(acting_thread(task), task->stub_is_own ? 0 : task->stub_addr, true);

	if (r == 0)
		remove_stub(task);
	return r;
}

/* It finds the stop before it looks at what is pending. */
static int let_go_stopped(const struct restorer_task *task)
{
	if (task->stop_is_pending)
		(void)kill(task->pid, SIGSTOP);
	return let_go(task);
}

static const struct hand_over_step stopped_steps[] = {
	{ stop_all, "stop it" },
	{ make_stopped_others_final, "set the registers of its threads" },
	{ begin_unmap, "inject a system call" },
	{ enter_unmap, "unmap the restore area" },
	{ end_unmap, "unmap the restore area" },
	{ complete_stopped_leader, "set its registers" },
	{ let_go_stopped, "detach from it" },
};

static void hand_over_stopped(struct restore *r, uint64_t code_address, struct error *err, int *result)
{
	for (size_t i = r->task_count; i-- > 0;) {
		const struct restore_task *task = r->tasks[i];
		int one;

		if (!was_stopped(task))
			continue;
		task->restorer->call_code = code_address;
		for (size_t step = 0; step < ARRAY_SIZE(stopped_steps); step++)
			run_step(task, &stopped_steps[step], err, result);
		one = settle_with_parent(task, code_address);
		if (one < 0)
			log_warn("pid %d: its parent hears once more of its stop: error %d\n", task->pid, one);
	}
}

/* --- all --------------------------------------------------------------------------------------------------------- */

/* Step by step for all, so that they run at the same time. */
int restore_hand_over(struct restore *r, struct error *err)
{
	const uint64_t code_address = find_call_code(r);
	int result = 0;

	make_calls(r, code_address);
	hand_over_stopped(r, code_address, err, &result);
	for (size_t step = 0; step < ARRAY_SIZE(hand_over_steps); step++)
		for (size_t i = 0; i < r->task_count; i++)
			if (!was_stopped(r->tasks[i]))
				run_step(r->tasks[i], &hand_over_steps[step], err, &result);
	return result;
}

/* --- the rescuer ------------------------------------------------------------------------------------------------- */

/* False when the thread is the program's already, or gone: it has been let go again. */
static bool take_again(const struct restorer_task *task, struct restorer_thread *thread,
		       struct user_regs_struct *ret_regs)
{
	int status;

	if (seize(thread) < 0)
		return false;
	(void)interrupt(thread->tid);
	if (wait_for_stop(thread->tid, &status) < 0)
		return false;
	if (compel_get_regs(thread->tid, ret_regs) == 0 &&
	    (is_in_area(task, ret_regs->rip) || is_on_stub(task, ret_regs->rip))) {
		/* Let go by the worker's death it went on with its call here, to the end: there is no second time. */
		if (is_in_area(task, ret_regs->rip))
			thread->call_made = 0;
		return true;
	}
	if (thread == acting_thread(task))
		remove_stub(task);
	(void)set_user_dispatch(thread);
	/* A signal that came in between is the program's. */
	(void)trace(PTRACE_DETACH, thread->tid, 0, stop_signal(status));
	return false;
}

/*
 * A thread that was let go by its tracer's death has gone on with its call. What became of that counts: the kernel's
 * note is good for one restart only.
 */
static void note_call(struct restorer_thread *thread, const struct user_regs_struct *regs)
{
	if (!thread->call_address || regs->rip <= thread->call_address ||
	    regs->rip - thread->call_address >= sizeof(call_code))
		return;
	thread->call_result = (int64_t)regs->rax;
	thread->call_made = 1;
}

static void carry_on_others(const struct restorer_task *task)
{
	struct user_regs_struct regs;

	for (uint64_t i = task->acting + 1; i < task->thread_count; i++) {
		struct restorer_thread *thread = &task->threads[i];

		if (!take_again(task, thread, &regs))
			continue;
		note_call(thread, &regs);
		if (make_final(thread) == 0)
			(void)trace(PTRACE_DETACH, thread->tid, 0, 0);
	}
}

/* No thread of it is traced any more, and all signals are blocked in those that are ours. */
static void stop_again(const struct restorer_task *task)
{
	if (task->stop_signal != SIGSTOP || task->slot->stop_sent)
		return;
	(void)kill(task->pid, SIGSTOP);
	task->slot->stop_sent = 1;
	wait_until_stopped(task);
}

static void carry_on_task(const struct restorer_task *task)
{
	struct user_regs_struct regs;
	int r = 0;

	stop_again(task);
	carry_on_others(task);
	if (!take_again(task, acting_thread(task), &regs))
		return;
	note_call(acting_thread(task), &regs);
	if (is_in_area(task, regs.rip) || (regs.rip == task->stub_addr && regs.rax == SYS_munmap)) {
		r = begin_unmap(task);
		if (r == 0)
			r = enter_unmap(task);
		if (r == 0)
			r = end_unmap(task);
	}
	if (r == 0)
		(void)complete_leader(task);
	if (task->stop_signal && !task->slot->stop_sent)
		(void)kill(task->pid, (int)task->stop_signal);
	(void)trace(PTRACE_DETACH, acting_thread(task)->tid, 0, 0);
}

int restore_carry_on(void *ctx)
{
	const struct restore_shared *shared = ctx;

	for (uint32_t i = 0; i < shared->slot_count; i++)
		if (shared->restorers[i])
			carry_on_task(shared->restorers[i]);
	return 0;
}

int restore_roll_back(void *ctx)
{
	struct restore_shared *shared = ctx;
	int r = restore_abort(shared);

	restore_put_back_pid_max(shared);
	return r;
}
