/*
 * System calls that were waiting when the thread was stopped. The kernel leaves a restart code in rax and repeats the
 * call when the thread goes on from a stop inside get_signal() with these registers. A few calls return EINTR instead
 * after any wake-up, even one that brought no signal (signal(7) lists them): a task that is only being looked at would
 * see them fail. Where such a call can be repeated from its arguments alone, that is, where it has no timeout that
 * would start anew, its result is turned into "repeat unless a handler runs".
 */
#include "internal.h"

#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

#define ENTER_EXTENDED 0x8u /* IORING_ENTER_EXT_ARG, without which there is no timeout */

static bool waits_without_timeout(const struct user_regs_struct *regs)
{
	switch (regs->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int)regs->r10 < 0;
	case SYS_epoll_pwait2:
	case SYS_semtimedop:
		return regs->r10 == 0;
	case SYS_semop:
		return true;
	case SYS_rt_sigtimedwait:
		return regs->rdx == 0;
	case SYS_io_getevents:
		return regs->r8 == 0;
	case SYS_io_uring_enter:
		return !(regs->r10 & ENTER_EXTENDED);
	default:
		return false;
	}
}

int keep_call_waiting(pid_t tid, struct user_regs_struct *regs)
{
	int r;

	if ((int64_t)regs->rax != -EINTR || (int64_t)regs->orig_rax < 0 || !waits_without_timeout(regs))
		return 0;
	r = ptrace_poke_rax(tid, -RESTART_NOHAND);
	if (r < 0)
		return r;
	regs->rax = (uint64_t)-RESTART_NOHAND;
	return 0;
}

bool needs_kernel_restart(const struct user_regs_struct *regs)
{
	int64_t result = (int64_t)regs->rax;

	return (int64_t)regs->orig_rax >= 0 && result <= -RESTART_SYS && result >= -RESTART_RESTARTBLOCK;
}
