/* A new thread or process that starts in a function of the blob. */
#pragma once

#include "pie/clone-border.h"

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
