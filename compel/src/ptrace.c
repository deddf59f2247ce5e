/*
 * The ptrace requests the library lives on, one function each: 0 or -errno, no state. None of them can be interrupted,
 * so there is no EINTR to care for.
 */
#include "internal.h"

#include <elf.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

/* The glibc wrapper's request type is an enum that does not know every request. */
static int request(long number, pid_t tid, uint64_t addr, uint64_t data)
{
	return ptrace(number, tid, (void *)addr, (void *)data) == -1 ? -errno : 0;
}

static int peek(long number, pid_t tid, uint64_t addr, uint64_t *ret_word)
{
	long word;

	errno = 0;
	word = ptrace(number, tid, (void *)addr, NULL);
	if (word == -1 && errno)
		return -errno;
	*ret_word = (uint64_t)word;
	return 0;
}

int ptrace_seize(pid_t tid, unsigned long options)
{
	return request(PTRACE_SEIZE, tid, 0, options);
}

int ptrace_interrupt(pid_t tid)
{
	return request(PTRACE_INTERRUPT, tid, 0, 0);
}

int ptrace_cont(pid_t tid, int signal)
{
	return request(PTRACE_CONT, tid, 0, (uint64_t)signal);
}

int ptrace_cont_to_syscall(pid_t tid, int signal)
{
	return request(PTRACE_SYSCALL, tid, 0, (uint64_t)signal);
}

int ptrace_detach(pid_t tid)
{
	return request(PTRACE_DETACH, tid, 0, 0);
}

int ptrace_peek_rax(pid_t tid, int64_t *ret_value)
{
	return peek(PTRACE_PEEKUSER, tid, offsetof(struct user, regs.rax), (uint64_t *)ret_value);
}

int ptrace_poke_rax(pid_t tid, int64_t value)
{
	return request(PTRACE_POKEUSER, tid, offsetof(struct user, regs.rax), (uint64_t)value);
}

int ptrace_poke_word(pid_t tid, uint64_t addr, uint64_t word)
{
	return request(PTRACE_POKEDATA, tid, addr, word);
}

int ptrace_get_user_dispatch(pid_t tid, struct compel_user_dispatch *ret_dispatch)
{
	struct compel_user_dispatch dispatch = { 0 };
	int r = request(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(dispatch), (uint64_t)&dispatch);

	/* A kernel before 6.4 or without checkpoint support cannot say. */
	if (r < 0 && r != -EIO && r != -EINVAL)
		return r;
	*ret_dispatch = dispatch;
	return 0;
}

int ptrace_set_user_dispatch(pid_t tid, const struct compel_user_dispatch *dispatch)
{
	return request(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(*dispatch), (uint64_t)dispatch);
}

ssize_t compel_get_xstate(pid_t tid, void *area, size_t bytes)
{
	struct iovec iov = { area, bytes };
	int r = request(PTRACE_GETREGSET, tid, NT_X86_XSTATE, (uint64_t)&iov);

	return r < 0 ? r : (ssize_t)iov.iov_len;
}

int compel_set_xstate(pid_t tid, const void *area, size_t bytes)
{
	struct iovec iov = { (void *)area, bytes };

	return request(PTRACE_SETREGSET, tid, NT_X86_XSTATE, (uint64_t)&iov);
}

int compel_set_regs(pid_t tid, const struct user_regs_struct *regs)
{
	return request(PTRACE_SETREGS, tid, 0, (uint64_t)regs);
}

int compel_get_regs(pid_t tid, struct user_regs_struct *ret_regs)
{
	return request(PTRACE_GETREGS, tid, 0, (uint64_t)ret_regs);
}

int compel_get_signal_mask(pid_t tid, uint64_t *ret_mask)
{
	return request(PTRACE_GETSIGMASK, tid, sizeof(*ret_mask), (uint64_t)ret_mask);
}

int compel_set_signal_mask(pid_t tid, uint64_t mask)
{
	return request(PTRACE_SETSIGMASK, tid, sizeof(mask), (uint64_t)&mask);
}
