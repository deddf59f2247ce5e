/* What ptrace(2) and its neighbours tell of a stopped thread beyond registers. All take the tid of a stopped tracee. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* An address in the traced task. */
struct rseq_config {
	uint64_t address; /* of struct rseq, 0: not registered */
	uint32_t size;
	uint32_t signature;
	uint32_t flags;
};

/* PTRACE_GET_RSEQ_CONFIGURATION (5.13); -EOPNOTSUPP without it. */
int ptrace_read_rseq_config(pid_t tid, struct rseq_config *ret);

/* get_robust_list(2): needs no tracing, only the right to. head 0: none. */
int robust_list_read(pid_t tid, uint64_t *ret_head, uint64_t *ret_bytes);

#define SIGINFO_BYTES 128

struct siginfo_queue {
	uint8_t (*infos)[SIGINFO_BYTES]; /* as the kernel holds them, oldest first */
	size_t count;
};

/* Pending signals of the thread, or those of the whole process: 0 or -errno. */
int ptrace_read_siginfo_queue(pid_t tid, bool shared, struct siginfo_queue *ret);

/*
 * Of a sender that found the queue full the kernel keeps the signal alone, which no request lists; who takes it is told
 * of SI_USER from pid 0. Adds that for each one pending (bit 0 is signal 1) of which there is nothing. 0 or -errno.
 */
int siginfo_queue_add_bare(struct siginfo_queue *queue, uint64_t pending);
void siginfo_queue_done(struct siginfo_queue *queue);

/* Layout of the kernel's struct ptrace_sud_config (6.4). */
struct syscall_user_dispatch {
	uint64_t mode; /* 0 off, 1 on */
	uint64_t selector, offset, length;
};

/* -EOPNOTSUPP where the kernel cannot tell: then the state is unknown. */
int ptrace_read_user_dispatch(pid_t tid, struct syscall_user_dispatch *ret);
int ptrace_write_user_dispatch(pid_t tid, const struct syscall_user_dispatch *config);

/* Blocked signals, bit 0 is signal 1. */
int ptrace_read_sigmask(pid_t tid, uint64_t *ret);
