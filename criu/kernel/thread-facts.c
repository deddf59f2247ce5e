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

/* PF_MCE_PROCESS, PF_MCE_EARLY, PF_LOCAL_THROTTLE, PF_MEMALLOC_NOIO */
#define FLAGS_TO_ASK_FOR (0x00000080u | 0x08000000u | 0x00100000u | 0x00080000u)

/* --- the program ------------------------------------------------------------------------------------------------- */

#define AT(member)    ((int16_t)offsetof(struct thread_facts, member))
#define ALIKE(member) AT(likeness.member)
#define IN_TASK(m, t, n)                                                                                               \
	{                                                                                                              \
		{ "task_struct", m }, { NULL, NULL }, t, n                                                             \
	}
#define WITHIN(m, structure, part, t, n)                                                                               \
	{                                                                                                              \
		{ "task_struct", m }, { structure, part }, t, n                                                        \
	}

static const struct value {
	struct btf_offset member, part; /* part: of the structure that the member is; its name NULL: the whole */
	int16_t to;
	int32_t bytes;
} values[] = {
	IN_TASK("cred", ALIKE(credentials), 8),
	IN_TASK("nsproxy", ALIKE(namespaces), 8),
	IN_TASK("cgroups", ALIKE(cgroups), 8),
	IN_TASK("files", ALIKE(files), 8),
	IN_TASK("fs", ALIKE(fs), 8),
	IN_TASK("mempolicy", ALIKE(numa_policy), 8),
	IN_TASK("io_context", ALIKE(io_context), 8),
	IN_TASK("atomic_flags", ALIKE(switches), 8),
	WITHIN("thread_info", "thread_info", "flags", ALIKE(arch_switches), 8),
	WITHIN("se", "sched_entity", "slice", ALIKE(slice_ns), 8),
	IN_TASK("uclamp_req", ALIKE(clamps), 8),
	IN_TASK("core_cookie", ALIKE(core_cookie), 8),
	WITHIN("thread", "thread_struct", "iopl_emul", ALIKE(port_level), 8),
	WITHIN("thread", "thread_struct", "io_bitmap", ALIKE(port_bitmap), 8),
	IN_TASK("cpus_mask", ALIKE(cpus), THREAD_CPU_BYTES),
	IN_TASK("flags", ALIKE(flags), 4),
	IN_TASK("policy", ALIKE(policy), 4),
	IN_TASK("static_prio", ALIKE(static_priority), 4),
	IN_TASK("rt_priority", ALIKE(rt_priority), 4),
	IN_TASK("sched_reset_on_fork", ALIKE(reset_on_fork), 1),
	IN_TASK("personality", ALIKE(personality), 4),
	IN_TASK("loginuid", ALIKE(loginuid), 4),
	WITHIN("seccomp", "seccomp", "mode", ALIKE(seccomp_mode), 4),
	IN_TASK("robust_list", AT(robust_list), 8),
	IN_TASK("clear_child_tid", AT(clear_tid), 8),
	IN_TASK("rseq", AT(rseq), 8),
	IN_TASK("rseq_len", AT(rseq_bytes), 4),
	IN_TASK("rseq_sig", AT(rseq_signature), 4),
	IN_TASK("timer_slack_ns", AT(timer_slack_ns), 8),
	WITHIN("thread_info", "thread_info", "syscall_work", AT(syscall_work), 8),
	WITHIN("thread", "thread_struct", "ptrace_dr7", AT(breakpoints), 8),
	IN_TASK("io_uring", AT(io_uring), 8),
	IN_TASK("nvcsw", AT(voluntary_switches), 8),
	WITHIN("pending", "sigpending", "signal", AT(pending), 8),
	IN_TASK("sas_ss_sp", AT(sas_address), 8),
	IN_TASK("sas_ss_size", AT(sas_bytes), 8),
	IN_TASK("sas_ss_flags", AT(sas_flags), 4),
	IN_TASK("pdeath_signal", AT(pdeath_signal), 4),
	IN_TASK("comm", AT(name), THREAD_NAME_BYTES),
};
#define VALUES ARRAY_SIZE(values)

/* A kernel may lack these; then all threads are alike in them. */
static bool may_be_missing(const struct value *value)
{
	return value->to == ALIKE(numa_policy) || value->to == ALIKE(io_context) || value->to == ALIKE(loginuid) ||
	       value->to == ALIKE(seccomp_mode) || value->to == ALIKE(slice_ns) || value->to == ALIKE(clamps) ||
	       value->to == ALIKE(core_cookie) || value->to == ALIKE(port_level) || value->to == ALIKE(port_bitmap) ||
	       value->to == AT(io_uring);
}

/* The program's stack: the record, then pointers on the way. */
#define RECORD    (-(int)sizeof(struct thread_facts))
#define SLOT_TASK ((int16_t)(RECORD - 8))
#define SLOT_PID  ((int16_t)(RECORD - 16))

_Static_assert(sizeof(struct thread_facts) + 16 <= 512, "the stack of a BPF program");
_Static_assert(sizeof(struct thread_facts) % 8 == 0, "cleared in words");

static int find_offsets(const struct btf *btf, struct btf_offset at[2 * VALUES + 2])
{
	for (size_t i = 0; i < VALUES; i++) {
		at[2 * i] = values[i].member;
		at[2 * i + 1] = values[i].part.structure ? values[i].part : values[i].member;
	}
	at[2 * VALUES] = (struct btf_offset){ "task_struct", "thread_pid", 0 };
	at[2 * VALUES + 1] = (struct btf_offset){ "pid", "numbers", 0 };
	btf_find_offsets(btf, at, 2 * VALUES + 2);
	if (at[2 * VALUES].offset < 0 || at[2 * VALUES + 1].offset < 0)
		return -ENOENT;
	for (size_t i = 0; i < VALUES; i++)
		if ((at[2 * i].offset < 0 || at[2 * i + 1].offset < 0) && !may_be_missing(&values[i]))
			return -ENOENT;
	return 0;
}

static void emit_values(struct bpf_program *p, const struct btf_offset *at, int32_t cpu_bytes)
{
	for (size_t i = 0; i < VALUES; i++) {
		int part = values[i].part.structure ? at[2 * i + 1].offset : 0;
		int32_t bytes = values[i].to == ALIKE(cpus) ? cpu_bytes : values[i].bytes;

		if (at[2 * i].offset < 0 || part < 0)
			continue;
		bpf_emit_address(p, SLOT_TASK, at[2 * i].offset + part);
		bpf_emit_fetch(p, (int16_t)(RECORD + values[i].to), bytes);
	}
	bpf_emit_follow(p, SLOT_TASK, at[2 * VALUES].offset, SLOT_PID);
	bpf_emit_address(p, SLOT_PID, at[2 * VALUES + 1].offset);
	bpf_emit_fetch(p, (int16_t)(RECORD + AT(pids)), sizeof(((struct thread_facts *)0)->pids));
}

static int build(struct bpf_program *p, const struct btf_offset *at)
{
	unsigned long mask[THREAD_CPU_BYTES / sizeof(unsigned long)];
	long cpu_bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	size_t begin;

	if (cpu_bytes <= 0)
		return -errno;

	begin = bpf_emit_begin(p, BPF_CONTEXT_OBJECT, sizeof(struct thread_facts));
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 7, SLOT_TASK, 0);
	emit_values(p, at, (int32_t)cpu_bytes);
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
		facts[i].likeness.flags &= FLAGS_TO_ASK_FOR;
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
	long masked = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);

	(void)prctl(PR_GET_NAME, name, 0, 0, 0);
	if (robust_list_read(0, &robust_list, &bytes) < 0 || masked <= 0 ||
	    prctl(PR_GET_TID_ADDRESS, &clear_tid, 0, 0, 0) < 0)
		return false;
	return robust_list == facts->robust_list && clear_tid == facts->clear_tid && !strcmp(name, facts->name) &&
	       (uint64_t)prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == facts->timer_slack_ns &&
	       (uint32_t)syscall(SYS_personality, 0xffffffff) == facts->likeness.personality &&
	       (uint32_t)syscall(SYS_sched_getscheduler, 0) ==
		   (facts->likeness.policy | (facts->likeness.reset_on_fork ? 0x40000000u : 0)) &&
	       memcmp(mask, facts->likeness.cpus, (size_t)masked) == 0;
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
	struct btf_offset at[2 * VALUES + 2];
	struct bpf_program program = { .count = 0 };
	AUTO_CLOSE int fd = -1;
	const struct btf *btf;
	int r = btf_get(&btf);

	if (r == 0)
		r = find_offsets(btf, at);
	if (r == 0)
		r = build(&program, at);
	if (r < 0)
		return r;
	fd = bpf_iterator_load(btf, "bpf_iter_task", program.insns, program.count);
	r = fd < 0 ? fd : check(fd);
	return r < 0 ? r : take_fd(&fd);
}
