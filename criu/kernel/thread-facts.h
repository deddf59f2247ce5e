/*
 * What a BPF iterator tells of all threads of a stopped process at once: values of their own that would cost several
 * system calls each, and all else in one piece, which is equal where two threads are alike. Reads the kernel's
 * structures where its type information says they are; what is read of ourselves must be what the kernel says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define THREAD_NAME_BYTES 16
#define THREAD_PID_LEVELS 4
#define THREAD_CPU_BYTES  64 /* a kernel that was built for more processors is not asked */

/* Two threads of a process with the same contents cannot be told apart by any interface, but for struct thread_facts.
 */
struct thread_likeness {
	uint64_t credentials, namespaces, cgroups, files, fs;
	uint64_t numa_policy, io_context; /* 0: none; another one is each thread's own */
	uint64_t switches;                /* of prctl(2): no_new_privs, speculation */
	uint64_t arch_switches;           /* TSC and CPUID faults, beside what comes and goes */
	uint64_t slice_ns, clamps, core_cookie;
	uint64_t port_level, port_bitmap; /* of iopl(2); of ioperm(2), 0: none */
	uint8_t cpus[THREAD_CPU_BYTES];
	uint32_t flags; /* PF_xx that can be asked for */
	uint32_t policy, static_priority, rt_priority, reset_on_fork;
	uint32_t personality, loginuid, seccomp_mode;
};

/* What prctl(2) tells of the flags of a thread: PF_MCE_PROCESS, PF_MCE_EARLY, PF_LOCAL_THROTTLE, PF_MEMALLOC_NOIO */
#define THREAD_FLAGS_TO_ASK_FOR (0x00000080u | 0x08000000u | 0x00100000u | 0x00080000u)

#define THREAD_USER_DISPATCH (1ull << 5) /* SYSCALL_WORK_SYSCALL_USER_DISPATCH */

struct thread_facts {
	uint64_t pids[THREAD_PID_LEVELS][2]; /* as each pid namespace has it, first in each pair */
	struct thread_likeness likeness;
	uint64_t robust_list, clear_tid, rseq, timer_slack_ns, pending, voluntary_switches;
	uint64_t io_uring;     /* 0: it has used none */
	uint64_t syscall_work; /* THREAD_xx: what it does at each system call */
	uint64_t breakpoints;  /* what a debugger has switched on in the debug registers */
	uint64_t sas_address, sas_bytes;
	uint32_t sas_flags, pdeath_signal, rseq_bytes, rseq_signature;
	char name[THREAD_NAME_BYTES];
};

/* A descriptor of the program, or -errno: there is always another way. */
int thread_facts_open(void);

/* One record for each of the threads, in their order: -ESTALE when they are not these. */
int thread_facts_read(int program_fd, int pidfd, const pid_t *tids, size_t count, struct thread_facts **ret);
