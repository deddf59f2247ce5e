/*
 * Threads of the new tree under trace.
 */
#include "engine/traced-thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/x86/syscall-restart.h"
#include "compel/compel.h"
#include "kernel/missing-ptrace.h"
#include "kernel/process-end.h"
#include "kernel/ptrace-info.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define EAGER_TURNS  32
#define LOOK_US      50

/* The one that makes the calls for its process: the leader, unless that has ended again. */
struct restorer_thread *traced_acting(const struct restorer_task *task)
{
	return &task->threads[task->acting];
}

static unsigned long seize_options(const struct restorer_thread *thread)
{
	return PTRACE_O_TRACESYSGOOD | (thread->is_filtered ? PTRACE_O_SUSPEND_SECCOMP : 0);
}

/* The end of a first thread is told when all others are gone, and those that we trace are gone when we collect them. */
static bool ends_untold(const struct restorer_thread *thread)
{
	return thread == &thread->task->threads[0] && thread->task->thread_count > 1;
}

/* Mostly it is a matter of microseconds. */
static bool is_in_vain(pid_t tid, unsigned int turn)
{
	if (turn < EAGER_TURNS)
		(void)sched_yield();
	else if (thread_has_ended(tid))
		return true;
	else
		(void)usleep(LOOK_US);
	return false;
}

/*
 * A stop is looked at, not collected: with that the kernel would forget the signal which the thread is about to take,
 * and if we were killed before it was passed on, that would be lost. An end is collected.
 */
int traced_wait_stop(const struct restorer_thread *thread, int *ret_status)
{
	const int options = WEXITED | WSTOPPED | __WALL | WNOWAIT | (ends_untold(thread) ? WNOHANG : 0);
	siginfo_t info = { 0 };

	for (unsigned int turn = 0; !info.si_pid; turn++) {
		if (waitid(P_PID, (id_t)thread->tid, &info, options) < 0 && errno != EINTR)
			return -errno;
		if (!info.si_pid && ends_untold(thread) && is_in_vain(thread->tid, turn))
			return -ESRCH;
	}
	if (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED) {
		*ret_status = W_STOPCODE(info.si_status);
		return 0;
	}
	while (waitpid(thread->tid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return -ESRCH;
}

/* The signal that a stop is about; 0: there is none. */
unsigned long traced_stop_signal(int status)
{
	return status >> 16 || WSTOPSIG(status) == SYSCALL_STOP ? 0 : (unsigned long)WSTOPSIG(status);
}

int traced_request(long request, pid_t tid, unsigned long address, unsigned long data)
{
	return ptrace((enum __ptrace_request)request, tid, address, data) < 0 ? -errno : 0;
}

int traced_wait_syscall(const struct restorer_thread *thread)
{
	int status, r;

	for (;;) {
		r = traced_wait_stop(thread, &status);
		if (r < 0 || WSTOPSIG(status) == SYSCALL_STOP)
			return r;
		/* Only SIGSTOP gets through: it takes effect when the thread is let go. */
		r = traced_request(PTRACE_SYSCALL, thread->tid, 0, traced_stop_signal(status));
		if (r < 0)
			return r;
	}
}

int traced_seize(struct restorer_thread *thread)
{
	return traced_request(PTRACE_SEIZE, thread->tid, 0, seize_options(thread));
}

int traced_interrupt(pid_t tid)
{
	return traced_request(PTRACE_INTERRUPT, tid, 0, 0);
}

static int write_user_dispatch(pid_t tid, const uint64_t config[4])
{
	const struct syscall_user_dispatch dispatch = { config[0], config[1], config[2], config[3] };

	return ptrace_write_user_dispatch(tid, &dispatch);
}

/* It is set last of all, when there is no way back: so it is tried here. */
int traced_try_user_dispatch(const struct restorer_thread *thread)
{
	static const uint64_t off[4];
	int r;

	if (!thread->user_dispatch[0])
		return 0;
	r = write_user_dispatch(thread->tid, thread->user_dispatch);
	return r < 0 ? r : write_user_dispatch(thread->tid, off);
}

/* A thread that makes a call of ours must not catch it. */
int traced_set_user_dispatch(struct restorer_thread *thread)
{
	int r;

	if (!thread->user_dispatch[0] || thread->user_dispatch_set)
		return 0;
	r = write_user_dispatch(thread->tid, thread->user_dispatch);
	if (r == 0)
		thread->user_dispatch_set = 1;
	return r;
}

static bool closes_our_memory(const struct restorer_thread *thread)
{
	return thread->key_rights & COMPEL_KEY_0_RIGHTS;
}

int traced_set_extended_registers(const struct restorer_thread *thread)
{
	uint32_t rights;
	int r;

	if (!thread->xstate_outside)
		return 0;
	r = compel_set_xstate(thread->tid, thread->xstate, thread->xstate_bytes);
	if (r == 0)
		r = compel_get_key_rights(thread->tid, &rights);
	if (r == 0 && rights != thread->key_rights)
		r = -EOPNOTSUPP; /* the kernel leaves those of protection keys as they are */
	return r == 0 && closes_our_memory(thread) ? compel_set_key_rights(thread->tid, 0) : r;
}

int traced_close_memory(struct restorer_thread *thread)
{
	int r;

	if (!closes_our_memory(thread) || thread->key_rights_set)
		return 0;
	r = compel_set_key_rights(thread->tid, thread->key_rights);
	if (r == 0)
		thread->key_rights_set = 1;
	return r;
}

/*
 * Whatever stops a thread that has all signals blocked is what we want. So one whose further stops nobody waits for is
 * tried first: mostly it stands still already.
 */
bool traced_may_go_unwaited(const struct restorer_thread *thread)
{
	return thread != traced_acting(thread->task) && !thread->call_number;
}

/* Somebody may stop the process just then: it is stopped when it is let go. */
int traced_wait_interruption(const struct restorer_thread *thread)
{
	int status, r;

	for (;;) {
		r = traced_wait_stop(thread, &status);
		if (r < 0 || status >> 16 == PTRACE_EVENT_STOP)
			return r;
		/* Any stop uses the interruption up. */
		r = traced_interrupt(thread->tid);
		if (r == 0)
			r = traced_request(PTRACE_CONT, thread->tid, 0, traced_stop_signal(status));
		if (r < 0)
			return r;
	}
}

static int set_signal_mask(const struct restorer_thread *thread)
{
	int r = compel_set_signal_mask(thread->tid, thread->signal_mask);

	/* It is on its way to where it stops. */
	if (r == -ESRCH && traced_may_go_unwaited(thread) && traced_wait_interruption(thread) == 0)
		r = compel_set_signal_mask(thread->tid, thread->signal_mask);
	return r;
}

int traced_set_registers(struct restorer_thread *thread)
{
	struct user_regs_struct regs = *(const struct user_regs_struct *)thread->regs;
	int r;

	if (!(thread->call_made && syscall_take_result(thread->call_number, thread->call_result, &regs)) &&
	    thread->restart_code)
		syscall_leave_to_kernel(thread->restart_code, &regs);
	r = compel_set_regs(thread->tid, &regs);
	if (r == 0)
		r = traced_close_memory(thread);
	if (r == 0 && thread->rseq_cs)
		(void)traced_request(PTRACE_POKEDATA, thread->tid, thread->rseq_address + 8, thread->rseq_cs);
	return r < 0 ? r : traced_set_user_dispatch(thread);
}

/* The mask first: from the moment the registers are its own the thread must be complete. */
int traced_make_final(struct restorer_thread *thread)
{
	int r = set_signal_mask(thread);

	return r < 0 ? r : traced_set_registers(thread);
}
