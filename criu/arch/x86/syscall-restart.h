/*
 * A thread that was stopped inside a system call. The kernel leaves one of its internal restart codes in the result
 * register and sorts the restart out on the way back to user mode, which the restored thread never takes: the registers
 * that go into the image must already say how to go on. They follow one convention: a call to be made again has its
 * number in rax (and still in orig_rax) and rip on its instruction.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

/*
 * What the signal does that the thread will take first when it runs again: a handler that is going to run decides
 * between a restart and EINTR, exactly as it would in the kernel.
 */
enum restart_signal {
	RESTART_NO_HANDLER,      /* none pending and unblocked, or ignored, or its default action */
	RESTART_HANDLER,         /* a handler without SA_RESTART */
	RESTART_HANDLER_RESTART, /* a handler with SA_RESTART */
};

/* The registers to store for a thread stopped with these. */
void regs_for_image_with_signal(const struct user_regs_struct *live, enum restart_signal signal,
				struct user_regs_struct *image);

/* The code behind a call that those registers make again, 0 when they do not. */
int syscall_restart_code(const struct user_regs_struct *live, enum restart_signal signal);

/* Whether an image may say so of these registers. */
bool syscall_is_restart_code(const struct user_regs_struct *image, uint32_t code);

/* Makes registers of an image those of a thread in the kernel, for which the call is made again or ends with EINTR. */
void syscall_leave_to_kernel(uint32_t code, struct user_regs_struct *regs);

/* Whether a result says that the call was interrupted, and would be made again. */
bool syscall_was_interrupted(int64_t result);

/* --- calls that go on with what is left of their time ------------------------------------------------------------ */

struct syscall_arguments {
	uint64_t number, args[6];
};

/*
 * Where a call that waits with another signal mask has it; *ret_is_indirect: there stands the address of it. 0: the
 * call has none.
 */
uint64_t syscall_mask_address(const struct syscall_arguments *call, bool *ret_is_indirect);

/* True when only restart_syscall(2) can go on with the call of these registers. */
bool syscall_needs_restart_block(const struct user_regs_struct *live);

void syscall_read_arguments(const struct user_regs_struct *regs, struct syscall_arguments *ret_call);

/* The number in the code that made a call, which are these bytes up to rip; 0 when it is not loaded right there. */
#define SYSCALL_CODE_BYTES 7
uint64_t syscall_number_from_code(const unsigned char code[SYSCALL_CODE_BYTES]);

/*
 * Calls which end with EINTR when a thread is merely stopped, signal or not (see signal(7)), and whose time stands in a
 * register: epoll_wait and epoll_pwait. What is left of the time can be put there, so that the call is made again. For
 * those whose time stands in the program's memory (epoll_pwait2, sigtimedwait, semtimedop, io_getevents,
 * io_uring_enter) nothing can be done that the program would not see: in its place the rest would be seen by whoever
 * reads it, and may stand in memory that nobody may write. Another place needs another pointer in the argument's
 * register, which the kernel leaves as it is, so that a program whose loop contains the call itself makes the next one
 * with that; and below the stack the frame of a signal that comes before the call is made again would change what
 * stands there. Without a time limit compel makes all of them again.
 */
bool syscall_has_register_timeout(const struct syscall_arguments *call);

/* True when the registers are those of this call, ended by a stop. */
bool syscall_was_ended(const struct user_regs_struct *live, const struct syscall_arguments *call);

/* Changes them so that the kernel makes the call again, for this long, unless a handler runs first. */
void syscall_make_again_for(struct user_regs_struct *live, uint64_t remaining_ns);

/* True for registers of an image that make this call again. */
bool syscall_is_made_again(const struct user_regs_struct *image, uint64_t number);

/*
 * The registers to make the call from code at another place, for remaining_ns only: time_address is where a timespec of
 * that span stands. Its result then tells what becomes of the thread that called: *regs, of the image, are changed so
 * that the kernel goes on with the call, or that it has this result; false: they are left, to make the call again.
 */
void syscall_make_elsewhere(const struct user_regs_struct *image, uint64_t code_address, uint64_t time_address,
			    uint64_t remaining_ns, struct user_regs_struct *ret_regs);
bool syscall_take_result(uint64_t number, int64_t result, struct user_regs_struct *regs);
