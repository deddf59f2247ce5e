#include "kernel/thread-facts.h"

#include <errno.h>
#include <linux/sched/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"
#include "kernel/bpf-program.h"
#include "kernel/pidfd.h"
#include "kernel/proc-list.h"
#include "kernel/proc-pid.h"
#include "kernel/ptrace-info.h"

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

/* --- the program ------------------------------------------------------------------------------------------------- */

/* The program's stack: the record, then pointers on the way. */
#define RECORD    (-(int)sizeof(struct thread_facts))
#define SLOT_TASK ((int16_t)(RECORD - 8))
#define SLOT_PID  ((int16_t)(RECORD - 16))

_Static_assert(sizeof(struct thread_facts) + 16 <= 512, "the stack of a BPF program");
_Static_assert(sizeof(struct thread_facts) % 8 == 0, "cleared in words");

#define AT(member)      ((int16_t)(RECORD + (int)offsetof(struct thread_facts, member)))
#define ALIKE(member)   AT(likeness.member)
#define MEMBER(m, t, n) BPF_VALUE("task_struct", m, SLOT_TASK, t, n)
/* Where it is missing, all threads are alike in it. */
#define OPTIONAL(m, t, n) BPF_VALUE_OPTIONAL("task_struct", m, SLOT_TASK, t, n)

static const struct bpf_value members[] = {
	MEMBER("cred", ALIKE(credentials), 8),
	MEMBER("nsproxy", ALIKE(namespaces), 8),
	MEMBER("cgroups", ALIKE(cgroups), 8),
	MEMBER("files", ALIKE(files), 8),
	MEMBER("fs", ALIKE(fs), 8),
	OPTIONAL("mempolicy", ALIKE(numa_policy), 8),
	OPTIONAL("io_context", ALIKE(io_context), 8),
	MEMBER("atomic_flags", ALIKE(switches), 8),
	MEMBER("thread_info.flags", ALIKE(arch_switches), 8),
	OPTIONAL("se.slice", ALIKE(slice_ns), 8),
	OPTIONAL("uclamp_req", ALIKE(clamps), 8),
	OPTIONAL("core_cookie", ALIKE(core_cookie), 8),
	OPTIONAL("thread.iopl_emul", ALIKE(port_level), 8),
	OPTIONAL("thread.io_bitmap", ALIKE(port_bitmap), 8),
	MEMBER("cpus_mask", ALIKE(cpus), THREAD_CPU_BYTES),
	MEMBER("flags", ALIKE(flags), 4),
	MEMBER("policy", ALIKE(policy), 4),
	MEMBER("static_prio", ALIKE(static_priority), 4),
	MEMBER("rt_priority", ALIKE(rt_priority), 4),
	MEMBER("sched_reset_on_fork", ALIKE(reset_on_fork), 1),
	MEMBER("personality", ALIKE(personality), 4),
	OPTIONAL("loginuid", ALIKE(loginuid), 4),
	OPTIONAL("seccomp.mode", ALIKE(seccomp_mode), 4),
	MEMBER("robust_list", AT(robust_list), 8),
	MEMBER("clear_child_tid", AT(clear_tid), 8),
	MEMBER("rseq", AT(rseq), 8),
	MEMBER("rseq_len", AT(rseq_bytes), 4),
	MEMBER("rseq_sig", AT(rseq_signature), 4),
	MEMBER("timer_slack_ns", AT(timer_slack_ns), 8),
	MEMBER("thread_info.syscall_work", AT(syscall_work), 8),
	MEMBER("thread.ptrace_dr7", AT(breakpoints), 8),
	OPTIONAL("io_uring", AT(io_uring), 8),
	MEMBER("nvcsw", AT(voluntary_switches), 8),
	MEMBER("pending.signal", AT(pending), 8),
	MEMBER("sas_ss_sp", AT(sas_address), 8),
	MEMBER("sas_ss_size", AT(sas_bytes), 8),
	MEMBER("sas_ss_flags", AT(sas_flags), 4),
	MEMBER("pdeath_signal", AT(pdeath_signal), 4),
	MEMBER("comm", AT(name), THREAD_NAME_BYTES),
};
#define MEMBERS ARRAY_SIZE(members)

enum { TASK_PID, PID_NUMBERS, OTHERS };

/*
 * How many bytes of a mask of processors mean something: the least that the kernel takes. In those behind it, which are
 * for processors that the machine cannot have, there is whatever was on the stack of who set the mask.
 */
static int used_cpu_bytes(void)
{
	unsigned long mask[THREAD_CPU_BYTES / sizeof(unsigned long)];

	for (size_t bytes = sizeof(*mask); bytes <= sizeof(mask); bytes += sizeof(*mask))
		if (syscall(SYS_sched_getaffinity, 0, bytes, mask) >= 0)
			return (int)bytes;
		else if (errno != EINVAL)
			return -errno;
	return -E2BIG;
}

static int build(struct bpf_program *p, const struct btf *btf)
{
	struct btf_offset others[OTHERS] = {
		[TASK_PID] = { "task_struct", "thread_pid" }, [PID_NUMBERS] = { "pid", "numbers" }
	};
	const int cpu_bytes = used_cpu_bytes();
	struct bpf_value values[MEMBERS];
	size_t begin;
	int r;

	if (cpu_bytes < 0)
		return cpu_bytes;
	memcpy(values, members, sizeof(members));
	r = bpf_values_find(btf, values, MEMBERS, others, OTHERS);
	if (r < 0 || others[TASK_PID].offset < 0 || others[PID_NUMBERS].offset < 0)
		return r < 0 ? r : -ENOENT;
	for (size_t i = 0; i < MEMBERS; i++)
		if (values[i].to == ALIKE(cpus))
			values[i].bytes = cpu_bytes;

	begin = bpf_emit_begin(p, BPF_CONTEXT_OBJECT, sizeof(struct thread_facts));
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 7, SLOT_TASK, 0);
	bpf_emit_values(p, values, MEMBERS);
	bpf_emit_follow(p, SLOT_TASK, others[TASK_PID].offset, SLOT_PID);
	bpf_emit_address(p, SLOT_PID, others[PID_NUMBERS].offset);
	bpf_emit_fetch(p, AT(pids), sizeof(((struct thread_facts *)0)->pids));
	bpf_emit_end(p, begin, sizeof(struct thread_facts));
	return p->count > BPF_PROGRAM_MAX ? -E2BIG : 0;
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static bool has_tid(const struct thread_facts *facts, pid_t tid)
{
	for (size_t i = 0; i < THREAD_PID_LEVELS; i++)
		if ((pid_t)(uint32_t)facts->pids[i][0] == tid)
			return true;
	return false;
}

int thread_facts_read(int program_fd, int pidfd, const pid_t *tids, size_t count, struct thread_facts **ret)
{
	AUTO_BUFFER struct buffer data = { 0 };
	int r = bpf_iterator_run(program_fd, pidfd, &data);
	struct thread_facts *facts;

	if (r < 0)
		return r;
	if (data.bytes != count * sizeof(*facts))
		return -ESTALE;
	facts = (struct thread_facts *)(void *)data.data;
	for (size_t i = 0; i < count; i++) {
		if (!has_tid(&facts[i], tids[i]))
			return -ESTALE;
		facts[i].likeness.flags &= THREAD_FLAGS_TO_ASK_FOR;
		facts[i].likeness.reset_on_fork &= 1;
	}
	*ret = (struct thread_facts *)(void *)TAKE_PTR(data.data);
	return 0;
}

static bool is_true_of_us(const struct thread_facts *facts)
{
	uint64_t clear_tid = 0, robust_list = 0, bytes = 0;
	char name[THREAD_NAME_BYTES] = "";
	unsigned long mask[THREAD_CPU_BYTES / sizeof(unsigned long)] = { 0 };
	const bool has_mask = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask) > 0;

	(void)prctl(PR_GET_NAME, name, 0, 0, 0);
	if (robust_list_read(0, &robust_list, &bytes) < 0 || !has_mask ||
	    prctl(PR_GET_TID_ADDRESS, &clear_tid, 0, 0, 0) < 0)
		return false;
	return robust_list == facts->robust_list && clear_tid == facts->clear_tid && !strcmp(name, facts->name) &&
	       (uint64_t)prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == facts->timer_slack_ns &&
	       (uint32_t)syscall(SYS_personality, 0xffffffff) == facts->likeness.personality &&
	       (uint32_t)syscall(SYS_sched_getscheduler, 0) ==
		   (facts->likeness.policy | (facts->likeness.reset_on_fork ? 0x40000000u : 0)) &&
	       memcmp(mask, facts->likeness.cpus, sizeof(mask)) == 0;
}

static int check(int program_fd)
{
	AUTO_CLOSE int procfd = proc_open(0), pidfd = pidfd_open_pid(getpid());
	AUTO_FREE struct thread_facts *facts = NULL;
	AUTO_FREE pid_t *tids = NULL;
	const pid_t own = (pid_t)syscall(SYS_gettid);
	size_t count = 0;
	int r = procfd < 0 ? procfd : pidfd < 0 ? pidfd : proc_list_threads(procfd, &tids, &count);

	if (r == 0)
		r = thread_facts_read(program_fd, pidfd, tids, count, &facts);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (tids[i] == own)
			return is_true_of_us(&facts[i]) ? 0 : -EIO;
	return r < 0 ? r : -EIO;
}

int thread_facts_open(void)
{
	struct bpf_program program = { .count = 0 };
	AUTO_CLOSE int fd = -1;
	const struct btf *btf;
	int r = btf_get(&btf);

	if (r == 0)
		r = build(&program, btf);
	if (r < 0)
		return r;
	fd = bpf_iterator_load(btf, "bpf_iter_task", program.insns, program.count);
	r = fd < 0 ? fd : check(fd);
	return r < 0 ? r : take_fd(&fd);
}
