/* A new thread or process that starts in a function of the blob. */
#pragma once

#include <linux/sched.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Laid out as the kernel's struct clone_args. */
struct clone_record {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls, set_tid, set_tid_count;
	uint64_t cgroup;
};

/* The new one calls main(argument) on its own stack. */
#define CLONE_INTO(record, main, argument)                                                                             \
	({                                                                                                             \
		long created_;                                                                                         \
		__asm__ volatile("syscall\n\t"                                                                         \
				 "testq %%rax, %%rax\n\t"                                                              \
				 "jnz 1f\n\t"                                                                          \
				 "xorl %%ebp, %%ebp\n\t"                                                               \
				 "movq %%rbx, %%rdi\n\t"                                                               \
				 "call %P[entry]\n\t"                                                                  \
				 "1:"                                                                                  \
				 : "=a"(created_)                                                                      \
				 : "a"((long)__NR_clone3), "D"(record), "S"(sizeof(*(record))),                        \
				   "b"(argument), [entry] "i"(main)                                                    \
				 : "rcx", "r11", "memory", "cc");                                                      \
		created_;                                                                                              \
	})
