/*
 * Restartable sequences. The kernel moves a preempted thread out of its sequence, to the abort handler, when it returns
 * to user space; but it looks at the instruction pointer of that moment, and a thread that runs borrowed code then is
 * outside any sequence. Given back into the middle of it, the thread would finish a sequence that was interrupted. So
 * the registers to come back to are those the kernel would have chosen.
 */
#include "internal.h"

#include <linux/rseq.h>
#include <stddef.h>
#include <sys/ptrace.h>

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

struct rseq_configuration {
	uint64_t area;
	uint32_t area_bytes, signature, flags, pad;
};

int leave_restartable_sequence(pid_t tid, struct user_regs_struct *regs)
{
	struct rseq_configuration config = { 0 };
	struct rseq_cs sequence;
	uint64_t sequence_addr;
	int r;

	/* System calls are not allowed inside a sequence. */
	if ((int64_t)regs->orig_rax >= 0)
		return 0;
	/* An old kernel cannot say, and where nothing is registered there is nothing to leave. */
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(config), &config) < 0 || !config.area)
		return 0;
	r = read_memory(tid, config.area + offsetof(struct rseq, rseq_cs), &sequence_addr, sizeof(sequence_addr));
	if (r < 0 || !sequence_addr)
		return 0;
	r = read_memory(tid, sequence_addr, &sequence, sizeof(sequence));
	/* The thread's own mistake: the kernel will tell it so. */
	if (r < 0)
		return 0;
	if (regs->rip - sequence.start_ip < sequence.post_commit_offset)
		regs->rip = sequence.abort_ip;
	return 0;
}
