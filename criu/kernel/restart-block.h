/*
 * What the kernel keeps of a call that only restart_syscall(2) can go on with: nanosleep, clock_nanosleep, poll and
 * futex with a timeout. No interface shows it, but a BPF iterator can read it (kernel/bpf-iterator.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* struct restart_block, whose layout is the same since Linux 4.10. */
struct restart_block {
	uint64_t arch_data, function;
	union {
		struct {
			uint64_t address;
			uint32_t value, flags, bitset, reserved;
			uint64_t deadline_ns;
		} futex;
		struct {
			int32_t clock_id;
			uint32_t type;
			uint64_t remainder;
			uint64_t deadline_ns;
		} sleep;
		struct {
			uint64_t entries;
			uint32_t count, has_timeout;
			uint64_t deadline_sec, deadline_nsec;
		} poll;
	};
};

/* Loads the program: a descriptor of it, or -errno. Takes milliseconds. */
int restart_block_open(void);

/* Of all threads of a process in the order of /proc/PID/task, whatever is in them by chance; malloc()ed. */
int restart_block_list(int program_fd, int pidfd, struct restart_block **ret, size_t *ret_count);
