/*
 * Unmapping the restore area, and letting go.
 */
#include "engine/hand-over.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "base/log.h"
#include "compel/compel.h"
#include "engine/restore-vfork.h"
#include "engine/restore.h"
#include "engine/traced-thread.h"
#include "kernel/missing-ptrace.h"
#include "mm/restore-area.h"

/*
 * syscall; mov $SYS_pause, %al; jmp back: munmap has left 0 in rax, so that the next call is pause(), which nothing
 * ends as long as all signals are blocked.
 */
#define STUB_CODE  0xfaeb22b0050full
#define STUB_BYTES 6

bool hand_over_is_on_stub(const struct restorer_task *task, uint64_t address)
{
	return task->stub_addr && address >= task->stub_addr && address - task->stub_addr < STUB_BYTES;
}

int hand_over_begin_unmap(const struct restorer_task *task)
{
	const pid_t tid = traced_acting(task)->tid;
	struct user_regs_struct regs;
	int r = compel_get_regs(tid, &regs);

	if (r < 0)
		return r;
	if (!task->stub_is_own) {
		task->slot->stub_poked = 1;
		r = traced_request(PTRACE_POKEDATA, tid, task->stub_addr, STUB_CODE);
		if (r < 0)
			return r;
	}
	regs.rip = task->stub_addr;
	regs.rax = SYS_munmap;
	regs.orig_rax = ~0ull;
	regs.rdi = task->area_start;
	regs.rsi = task->area_bytes;
	r = compel_set_regs(tid, &regs);
	return r < 0 ? r : traced_request(PTRACE_SYSCALL, tid, 0, 0);
}

int hand_over_enter_unmap(const struct restorer_task *task)
{
	int r = traced_wait_syscall(traced_acting(task));

	return r < 0 ? r : traced_request(PTRACE_SYSCALL, traced_acting(task)->tid, 0, 0);
}

int hand_over_end_unmap(const struct restorer_task *task)
{
	const pid_t tid = traced_acting(task)->tid;
	struct user_regs_struct regs;
	int r = traced_wait_syscall(traced_acting(task));

	if (r == 0)
		r = compel_get_regs(tid, &regs);
	if (r == 0 && regs.rax != 0)
		log_warn("pid %d: the restore area stays mapped: %lld\n", task->pid, (long long)regs.rax);
	return r;
}

void hand_over_remove_stub(const struct restorer_task *task)
{
	if (!task->slot->stub_poked)
		return;
	if (traced_request(PTRACE_POKEDATA, traced_acting(task)->tid, task->stub_addr, 0) == 0)
		task->slot->stub_poked = 0;
}

int hand_over_complete_leader(const struct restorer_task *task)
{
	int r = traced_make_final(traced_acting(task));

	if (r == 0)
		hand_over_remove_stub(task);
	return r;
}

/*
 * A thread that stands where it was interrupted goes on as it is when its tracer ends. One that is in a system call of
 * ours would be sent the signal that this stop is reported as, and a task that is to stop is waited for before that
 * end.
 */
static bool goes_by_itself(const struct restorer_thread *thread)
{
	return thread->task->shared->tracer_ends && traced_may_go_unwaited(thread) && !thread->task->stop_signal &&
	       !restore_vfork_is_waiter(thread);
}

/* Of one that nobody has waited for: somebody else's SIGSTOP, which it was about to take. */
static unsigned long signal_to_pass(const struct restorer_thread *thread)
{
	siginfo_t info;

	return traced_may_go_unwaited(thread) && ptrace(PTRACE_GETSIGINFO, thread->tid, 0, &info) == 0 &&
		       info.si_signo == SIGSTOP && info.si_code >> 8 != PTRACE_EVENT_STOP
		   ? SIGSTOP
		   : 0;
}

static int detach(const struct restorer_thread *thread)
{
	return goes_by_itself(thread) ? 0 : traced_request(PTRACE_DETACH, thread->tid, 0, signal_to_pass(thread));
}

/* The pending signal takes effect before the task runs a single instruction. */
int hand_over_let_go(const struct restorer_task *task)
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

/* Behind its own steps a task runs: the first failure is kept, a task that has died meanwhile is let be. */
void hand_over_run(const struct restore_task *task, const struct hand_over_step *step, struct error *err, int *result)
{
	int one = task->restorer ? step->run(task->restorer) : 0;

	if (one == 0)
		return;
	log_error("pid %d: cannot %s: error %d\n", task->pid, step->what, one);
	if (*result == 0)
		*result = error_set(err, one, "pid %d: %s", task->pid, step->what);
}
