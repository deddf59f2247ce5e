/*
 * The restart codes:
 *
 *   ERESTARTSYS            made again, EINTR after a handler without SA_RESTART
 *   ERESTARTNOINTR         made again always
 *   ERESTARTNOHAND         made again, EINTR after any handler
 *   ERESTART_RESTARTBLOCK  continued by restart_syscall(2) from a state in the kernel that nobody can read or set
 * (poll, nanosleep and futex with a timeout); EINTR after any handler
 *
 * Until a thread is back in its program a signal may still come to it, soon after a restore or long after it where the
 * process is stopped: then a call that was already rewound would be made again behind the handler, and a program that
 * waits for that signal would wait for ever. So the image says besides what the code was, and the restored thread is
 * given its registers as they were in the kernel, which decides when it lets it go.
 *
 * The last is made again as well: a program never expects EINTR where no handler ran. Timeouts that are points in time
 * stay exact. What is left of a span of time is restored where it is known (task/interrupted-call.h): the call is made
 * once more from elsewhere, interrupted at once, and its restart block is then good for the program's own registers. A
 * call that the kernel has continued before (the thread was stopped more than once in it) has the number of
 * restart_syscall(2) in orig_rax: without its own it ends with EINTR.
 *
 * EINTR itself is the result of some calls after any stop, in the kernel as it is. It stays, but for those whose time
 * limit is in a register: there the rest of it takes its place, in a register that no function has to preserve.
 */
#include "arch/x86/syscall-restart.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/util.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

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

/* True when the registers are those of a system call that waits to be restarted; *ret_code gets the positive code. */
static bool is_restart_pending(const struct user_regs_struct *live, int *ret_code)
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
	if (is_restart_pending(live, &code)) {
		if (is_made_again(live, code, signal))
			make_again(image);
		else
			image->rax = (unsigned long long)-EINTR;
	}
}

/* What is left of a restart block is the image's to say: without it, the call begins anew. */
int syscall_restart_code(const struct user_regs_struct *live, enum restart_signal signal)
{
	int code;

	if (!is_restart_pending(live, &code) || !is_made_again(live, code, signal))
		return 0;
	return code == CODE_ERESTART_RESTARTBLOCK ? CODE_ERESTARTNOHAND : code;
}

bool syscall_is_restart_code(const struct user_regs_struct *image, uint32_t code)
{
	return (long long)image->rax >= 0 &&
	       (code == CODE_ERESTARTSYS || code == CODE_ERESTARTNOINTR || code == CODE_ERESTARTNOHAND);
}

void syscall_leave_to_kernel(uint32_t code, struct user_regs_struct *regs)
{
	regs->orig_rax = regs->rax;
	regs->rax = (unsigned long long)-(long long)code;
	regs->rip += SYSCALL_BYTES;
}

bool syscall_was_interrupted(int64_t result)
{
	return result <= -CODE_ERESTARTSYS && result >= -CODE_ERESTARTNOHAND;
}

/* --- calls that go on with what is left of their time ------------------------------------------------------------ */

bool syscall_needs_restart_block(const struct user_regs_struct *live)
{
	int code;

	return is_restart_pending(live, &code) && code == CODE_ERESTART_RESTARTBLOCK;
}

void syscall_read_arguments(const struct user_regs_struct *regs, struct syscall_arguments *ret_call)
{
	*ret_call = (struct syscall_arguments){
		.number = regs->orig_rax,
		.args = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 },
	};
}

static const struct {
	uint64_t number;
	int argument;
	bool is_indirect;
} masked_calls[] = {
	{ SYS_rt_sigsuspend, 0, false }, { SYS_ppoll, 3, false },        { SYS_pselect6, 5, true },
	{ SYS_epoll_pwait, 4, false },   { SYS_epoll_pwait2, 4, false }, { SYS_io_pgetevents, 5, true },
};

uint64_t syscall_mask_address(const struct syscall_arguments *call, bool *ret_is_indirect)
{
	for (size_t i = 0; i < ARRAY_SIZE(masked_calls); i++)
		if (masked_calls[i].number == call->number) {
			*ret_is_indirect = masked_calls[i].is_indirect;
			return call->args[masked_calls[i].argument];
		}
	return 0;
}

/* mov $number, %eax; syscall */
uint64_t syscall_number_from_code(const unsigned char code[SYSCALL_CODE_BYTES])
{
	uint32_t number;

	if (code[0] != 0xb8 || code[5] != 0x0f || code[6] != 0x05)
		return 0;
	memcpy(&number, code + 1, sizeof(number));
	return number;
}

bool syscall_is_made_again(const struct user_regs_struct *image, uint64_t number)
{
	return image->rax == number && (long long)image->rax >= 0;
}

static uint64_t milliseconds(uint64_t ns)
{
	uint64_t ms = ns / 1000000 + (ns % 1000000 != 0);

	return ms < INT32_MAX ? ms : INT32_MAX;
}

#define EPOLL_TIMEOUT 3 /* the argument, in r10 */

bool syscall_has_register_timeout(const struct syscall_arguments *call)
{
	return (call->number == SYS_epoll_wait || call->number == SYS_epoll_pwait) &&
	       (int)call->args[EPOLL_TIMEOUT] > 0;
}

bool syscall_was_ended(const struct user_regs_struct *live, const struct syscall_arguments *call)
{
	struct syscall_arguments now;

	syscall_read_arguments(live, &now);
	return is_in_syscall(live) && (long long)live->rax == -EINTR && memcmp(&now, call, sizeof(now)) == 0;
}

void syscall_make_again_for(struct user_regs_struct *live, uint64_t remaining_ns)
{
	live->rax = (unsigned long long)-CODE_ERESTARTNOHAND;
	live->r10 = milliseconds(remaining_ns);
}

void syscall_make_elsewhere(const struct user_regs_struct *image, uint64_t code_address, uint64_t time_address,
			    uint64_t remaining_ns, struct user_regs_struct *ret_regs)
{
	*ret_regs = *image;
	ret_regs->rip = code_address;
	ret_regs->orig_rax = ~0ull;
	switch (image->rax) {
	case SYS_nanosleep:
		ret_regs->rdi = time_address;
		break;
	case SYS_clock_nanosleep:
		ret_regs->rdx = time_address;
		break;
	case SYS_futex:
		ret_regs->r10 = time_address;
		break;
	case SYS_poll:
		ret_regs->rdx = milliseconds(remaining_ns);
		break;
	default:
		break;
	}
}

bool syscall_take_result(uint64_t number, int64_t result, struct user_regs_struct *regs)
{
	if (result <= -CODE_ERESTARTSYS && result > -CODE_ERESTART_RESTARTBLOCK)
		return false;
	regs->rip += SYSCALL_BYTES;
	regs->rax = (uint64_t)result;
	regs->orig_rax = result == -CODE_ERESTART_RESTARTBLOCK ? number : ~0ull;
	return true;
}
