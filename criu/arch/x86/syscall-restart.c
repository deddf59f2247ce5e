/*
 * The restart codes:
 *
 *   ERESTARTSYS            made again, EINTR after a handler without SA_RESTART
 *   ERESTARTNOINTR         made again always
 *   ERESTARTNOHAND         made again, EINTR after any handler
 *   ERESTART_RESTARTBLOCK  continued by restart_syscall(2) from a state in the kernel that nobody can read or set
 * (poll, nanosleep and futex with a timeout); EINTR after any handler
 *
 * The last is made again as well: a program never expects EINTR where no handler ran. Timeouts that are points in time
 * stay exact, and so does a sleep whose remainder the kernel has just written over the request (sleep(3) passes one
 * variable for both). Only other relative timeouts begin anew, and end later by what had passed. A call that the kernel
 * has continued before (the thread was stopped more than once in it) no longer has its number in orig_rax but that of
 * restart_syscall(2): this one cannot be made again and ends with EINTR.
 */
#include "arch/x86/syscall-restart.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "base/util.h"

#define CODE_ERESTARTSYS           512
#define CODE_ERESTARTNOINTR        513
#define CODE_ERESTARTNOHAND        514
#define CODE_ERESTART_RESTARTBLOCK 516

#define SYSCALL_BYTES 2

static bool is_in_syscall(const struct user_regs_struct *live)
{
	/* Negative after sigreturn, an interrupt or an exception: then rax belongs to the program. */
	return (long long)live->orig_rax >= 0;
}

bool syscall_restart_pending(const struct user_regs_struct *live, int *ret_code)
{
	long long result = (long long)live->rax;

	if (!is_in_syscall(live))
		return false;
	if (result != -CODE_ERESTARTSYS && result != -CODE_ERESTARTNOINTR && result != -CODE_ERESTARTNOHAND &&
	    result != -CODE_ERESTART_RESTARTBLOCK)
		return false;
	*ret_code = (int)-result;
	return true;
}

static const unsigned short stop_sensitive_calls[] = {
	SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_semop, SYS_semtimedop, SYS_rt_sigtimedwait,
};

bool syscall_interrupted_by_stop(const struct user_regs_struct *live)
{
	size_t i;

	if (!is_in_syscall(live) || (long long)live->rax != -EINTR)
		return false;
	for (i = 0; i < ARRAY_SIZE(stop_sensitive_calls); i++)
		if (live->orig_rax == stop_sensitive_calls[i])
			return true;
	return false;
}

static bool is_made_again(const struct user_regs_struct *live, int code, enum restart_signal signal)
{
	if (live->orig_rax == SYS_restart_syscall)
		return false;
	switch (code) {
	case CODE_ERESTARTNOINTR:
		return true;
	case CODE_ERESTARTSYS:
		return signal != RESTART_HANDLER;
	default:
		return signal == RESTART_NO_HANDLER;
	}
}

static void make_again(struct user_regs_struct *image)
{
	image->rax = image->orig_rax;
	image->rip -= SYSCALL_BYTES;
}

void regs_for_image_with_signal(const struct user_regs_struct *live, enum restart_signal signal,
				struct user_regs_struct *image)
{
	int code;

	*image = *live;
	if (syscall_restart_pending(live, &code)) {
		if (is_made_again(live, code, signal))
			make_again(image);
		else
			image->rax = (unsigned long long)-EINTR;
	} else if (signal == RESTART_NO_HANDLER && syscall_interrupted_by_stop(live)) {
		make_again(image);
	}
}

void regs_for_image(const struct user_regs_struct *live, struct user_regs_struct *image)
{
	regs_for_image_with_signal(live, RESTART_NO_HANDLER, image);
}
