/* Raw system calls for code that runs inside a target: no libc, no errno, results as the kernel gives them. */
#pragma once

#include <stdint.h>
#include <sys/syscall.h>

static inline long pie_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#define SYS0(n)                   pie_syscall(n, 0, 0, 0, 0, 0, 0)
#define SYS1(n, a)                pie_syscall(n, (long)(a), 0, 0, 0, 0, 0)
#define SYS2(n, a, b)             pie_syscall(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(n, a, b, c)          pie_syscall(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(n, a, b, c, d)       pie_syscall(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(n, a, b, c, d, e)    pie_syscall(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS6(n, a, b, c, d, e, f) pie_syscall(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
