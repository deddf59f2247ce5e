/*
 * A new thread or process that starts in a function of its own choice: the engine starts threads in the blob, and lets
 * the blob start processes in the engine's code.
 */
#pragma once

#include <linux/sched.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Laid out as the kernel's struct clone_args. */
struct clone_record {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls, set_tid, set_tid_count;
	uint64_t cgroup;
};

/* The new one calls the function at an address, with two arguments, on its own stack. */
#define CLONE_INTO_ADDRESS(record, address, first, second)                                                             \
	({                                                                                                             \
		register uint64_t second_ __asm__("r12") = (uint64_t)(second);                                         \
		register uint64_t address_ __asm__("r13") = (uint64_t)(address);                                       \
		long created_;                                                                                         \
		__asm__ volatile("syscall\n\t"                                                                         \
				 "testq %%rax, %%rax\n\t"                                                              \
				 "jnz 1f\n\t"                                                                          \
				 "xorl %%ebp, %%ebp\n\t"                                                               \
				 "movq %%rbx, %%rdi\n\t"                                                               \
				 "movq %%r12, %%rsi\n\t"                                                               \
				 "call *%%r13\n\t"                                                                     \
				 "1:"                                                                                  \
				 : "=a"(created_)                                                                      \
				 : "a"((long)__NR_clone3), "D"(record), "S"(sizeof(*(record))), "b"(first),            \
				   "r"(second_), "r"(address_)                                                         \
				 : "rcx", "r11", "memory", "cc");                                                      \
		created_;                                                                                              \
	})
