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

#define ENTER_EXTENDED  0x8u  /* IORING_ENTER_EXT_ARG, without which there is no timeout */
#define ENTER_POINT     0x20u /* IORING_ENTER_ABS_TIMER: it is a point in time */
#define ENTER_ARGUMENTS 0x40u /* IORING_ENTER_EXT_ARG_REG: it stands in memory that the kernel holds */

/* struct io_uring_getevents_arg */
struct enter_arguments {
	uint64_t mask;
	uint32_t mask_bytes, least_wait_us;
	uint64_t timeout;
};

static bool enters_without_timeout(pid_t tid, const struct user_regs_struct *regs)
{
	struct enter_arguments arguments;

	if (!(regs->r10 & ENTER_EXTENDED))
		return true;
	return !(regs->r10 & ENTER_ARGUMENTS) && read_memory(tid, regs->r8, &arguments, sizeof(arguments)) == 0 &&
	       !arguments.least_wait_us && (!arguments.timeout || regs->r10 & ENTER_POINT);
}

static bool waits_without_timeout(pid_t tid, const struct user_regs_struct *regs)
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
		return enters_without_timeout(tid, regs);
	default:
		return false;
	}
}

int keep_call_waiting(pid_t tid, struct user_regs_struct *regs)
{
	int r;

	if ((int64_t)regs->rax != -EINTR || (int64_t)regs->orig_rax < 0 || !waits_without_timeout(tid, regs))
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
