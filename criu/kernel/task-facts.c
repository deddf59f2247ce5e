#include "kernel/task-facts.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"
#include "kernel/bpf-program.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"

/* Where the kernel keeps MMF_DUMP_FILTER in the flags of an mm. */
#define DUMP_FILTER_SHIFT 2
#define DUMP_FILTER_MASK  0x1ffu

/* --- the program ------------------------------------------------------------------------------------------------- */

#define TLS_BYTES 24

/* What the program writes for each task; narrower members of the kernel stand at the start of zeroed words. */
struct record {
	uint64_t tid, tgid;
	uint64_t level;
	uint64_t parent, parent_ns; /* a struct upid: garbage unless the namespace is that of own_ns */
	uint64_t parent_tid;        /* likewise */
	uint64_t own_ns;
	uint64_t exit_state;
	uint64_t nsproxy, user_ns, cgroups, mm, files, fs, sighand, exe;
	uint64_t heap_start, heap_end, stack_start;
	struct path_fact cwd, root;
	uint64_t default_slack, oom_score_adj, posix_timers, mm_flags, loginuid, undo_list, io_context;
	uint64_t allocated_keys, execute_only_key, next_timer_id, oom_score_adj_min, audit_session;
	uint8_t tls[TLS_BYTES];
};

/* The program's stack: the record, then pointers on the way to what is wanted. */
#define RECORD      (-(int)sizeof(struct record))
#define AT(member)  ((int16_t)(RECORD + (int)offsetof(struct record, member)))
#define SLOT_TASK   ((int16_t)(RECORD - 8))
#define SLOT_OTHER  ((int16_t)(RECORD - 16))
#define SLOT_PID    ((int16_t)(RECORD - 24))
#define SLOT_SIGNAL ((int16_t)(RECORD - 32))
#define SLOT_CRED   ((int16_t)(RECORD - 40))
#define SLOT_MM     AT(mm)
#define SLOT_FS     AT(fs)

enum { THREAD_PID, GROUP_LEADER, REAL_PARENT, PID_LEVEL, PID_NUMBERS, UPID_NS, OTHERS };

static const struct btf_offset others[OTHERS] = {
	[THREAD_PID] = { "task_struct", "thread_pid" },
	[GROUP_LEADER] = { "task_struct", "group_leader" },
	[REAL_PARENT] = { "task_struct", "real_parent" },
	[PID_LEVEL] = { "pid", "level" },
	[PID_NUMBERS] = { "pid", "numbers" },
	[UPID_NS] = { "upid", "ns" },
};

#define OPTIONAL           BPF_VALUE_OPTIONAL
#define IN_TASK(m, t, n)   BPF_VALUE("task_struct", m, SLOT_TASK, t, n)
#define IN_MM(m, t, n)     BPF_VALUE("mm_struct", m, SLOT_MM, t, n)
#define IN_FS(m, t, n)     BPF_VALUE("fs_struct", m, SLOT_FS, t, n)
#define IN_SIGNAL(m, t, n) BPF_VALUE("signal_struct", m, SLOT_SIGNAL, t, n)

/* Pointers stand before what they lead to. */
static const struct bpf_value members[] = {
	IN_TASK("exit_state", AT(exit_state), 4),
	IN_TASK("nsproxy", AT(nsproxy), 8),
	IN_TASK("cgroups", AT(cgroups), 8),
	IN_TASK("mm", AT(mm), 8),
	IN_TASK("files", AT(files), 8),
	IN_TASK("fs", AT(fs), 8),
	IN_TASK("sighand", AT(sighand), 8),
	IN_TASK("signal", SLOT_SIGNAL, 8),
	IN_TASK("real_cred", SLOT_CRED, 8),
	IN_TASK("thread.tls_array", AT(tls), TLS_BYTES),
	IN_TASK("default_timer_slack_ns", AT(default_slack), 8),
	OPTIONAL("task_struct", "loginuid", SLOT_TASK, AT(loginuid), 4),
	OPTIONAL("task_struct", "sessionid", SLOT_TASK, AT(audit_session), 4),
	OPTIONAL("task_struct", "sysvsem.undo_list", SLOT_TASK, AT(undo_list), 8),
	OPTIONAL("task_struct", "io_context", SLOT_TASK, AT(io_context), 8),
	{ { "cred", "user_ns" }, SLOT_CRED, AT(user_ns), 8 },
	IN_SIGNAL("oom_score_adj", AT(oom_score_adj), 2),
	IN_SIGNAL("oom_score_adj_min", AT(oom_score_adj_min), 2),
	IN_SIGNAL("posix_timers", AT(posix_timers), 8),
	OPTIONAL("signal_struct", "next_posix_timer_id", SLOT_SIGNAL, AT(next_timer_id), 4),
	IN_FS("pwd", AT(cwd), sizeof(struct path_fact)),
	IN_FS("root", AT(root), sizeof(struct path_fact)),
	IN_MM("exe_file", AT(exe), 8),
	IN_MM("start_brk", AT(heap_start), 8),
	IN_MM("brk", AT(heap_end), 8),
	IN_MM("start_stack", AT(stack_start), 8),
	OPTIONAL("mm_struct", "context.pkey_allocation_map", SLOT_MM, AT(allocated_keys), 2),
	OPTIONAL("mm_struct", "context.execute_only_pkey", SLOT_MM, AT(execute_only_key), 2),
	OPTIONAL("mm_struct", "flags", SLOT_MM, AT(mm_flags), 8), /* once no number, and not believed then */
};
#define MEMBERS ARRAY_SIZE(members)

static void emit_ids(struct bpf_program *p, const struct btf_offset *at)
{
	const struct bpf_pid_offsets pid_at = { at[THREAD_PID].offset, at[PID_LEVEL].offset, at[PID_NUMBERS].offset };

	bpf_emit_own_level(p, &pid_at, SLOT_PID, AT(level));
	bpf_emit_address(p, SLOT_PID, at[PID_NUMBERS].offset + at[UPID_NS].offset);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_X, 9, 8, 0, 0);
	bpf_emit_fetch(p, AT(own_ns), 8);
	bpf_emit_number(p, &pid_at, SLOT_TASK, SLOT_PID, AT(tid), 4);
	bpf_emit_address(p, SLOT_PID, at[PID_LEVEL].offset);
	bpf_emit_fetch(p, AT(level), 4);
	bpf_emit_follow(p, SLOT_TASK, at[GROUP_LEADER].offset, SLOT_OTHER);
	bpf_emit_number(p, &pid_at, SLOT_OTHER, SLOT_PID, AT(tgid), 4);
	bpf_emit_follow(p, SLOT_TASK, at[REAL_PARENT].offset, SLOT_OTHER);
	bpf_emit_number(p, &pid_at, SLOT_OTHER, SLOT_PID, AT(parent_tid), 4);
	bpf_emit_follow(p, SLOT_OTHER, at[GROUP_LEADER].offset, SLOT_OTHER);
	bpf_emit_number(p, &pid_at, SLOT_OTHER, SLOT_PID, AT(parent), 2 * sizeof(uint64_t));
}

static int build(struct bpf_program *p, const struct btf *btf)
{
	struct bpf_value values[MEMBERS];
	struct btf_offset at[OTHERS];
	size_t begin;
	int r;

	memcpy(values, members, sizeof(members));
	memcpy(at, others, sizeof(others));
	r = bpf_values_find(btf, values, MEMBERS, at, OTHERS);
	for (size_t i = 0; r == 0 && i < OTHERS; i++)
		if (at[i].offset < 0)
			r = -ENOENT;
	if (r < 0)
		return r;
	begin = bpf_emit_begin(p, BPF_CONTEXT_OBJECT, sizeof(struct record));
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 7, SLOT_TASK, 0);
	emit_ids(p, at);
	bpf_emit_values(p, values, MEMBERS);
	bpf_emit_end(p, begin, sizeof(struct record));
	return p->count > BPF_PROGRAM_MAX ? -E2BIG : 0;
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static struct task_facts from_record(const struct record *record)
{
	static const uint8_t no_tls[TLS_BYTES];

	return (struct task_facts){
		.tid = (pid_t)record->tid,
		.tgid = (pid_t)record->tgid,
		.parent = record->parent_ns == record->own_ns ? (pid_t)(uint32_t)record->parent : 0,
		.parent_tid = record->parent_ns == record->own_ns ? (pid_t)record->parent_tid : 0,
		.has_ended = record->exit_state != 0,
		.namespaces = record->nsproxy,
		.user_ns = record->user_ns,
		.pid_level = (uint32_t)record->level,
		.cgroups = record->cgroups,
		.mm = record->mm,
		.files = record->files,
		.fs = record->fs,
		.sighand = record->sighand,
		.exe = record->exe,
		.heap_start = record->heap_start,
		.heap_end = record->heap_end,
		.stack_start = record->stack_start,
		.cwd = record->cwd,
		.root = record->root,
		.has_posix_timers = record->posix_timers != 0,
		.next_timer_id = record->next_timer_id ? (int)(record->next_timer_id & INT_MAX) : -1,
		.has_tls = memcmp(record->tls, no_tls, TLS_BYTES) != 0,
		.oom_score_adj = (int16_t)record->oom_score_adj,
		.oom_score_adj_min = (int16_t)record->oom_score_adj_min,
		.has_coredump_filter = true,
		.coredump_filter = (uint32_t)(record->mm_flags >> DUMP_FILTER_SHIFT) & DUMP_FILTER_MASK,
		.default_timer_slack_ns = record->default_slack,
		.has_loginuid = true,
		.loginuid = (uint32_t)record->loginuid,
		.audit_session = (uint32_t)record->audit_session,
		.undo_list = record->undo_list,
		.io_context = record->io_context,
		.allocated_keys = (uint16_t)record->allocated_keys,
		.execute_only_key = (int16_t)record->execute_only_key,
	};
}

const struct task_facts *task_facts_find(const struct task_fact_list *list, pid_t tid)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->items[middle].tid == tid)
			return &list->items[middle];
		if (list->items[middle].tid < tid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* What was read of ourselves must be what /proc says; the values that are not are not used. */
static int check(struct task_fact_list *list)
{
	AUTO_CLOSE int procfd = proc_open(0);
	const struct task_facts *own = task_facts_find(list, getpid());
	uint32_t loginuid = 0, filter = 0;
	bool knows_loginuid, knows_filter;
	int oom = 0, r;

	if (procfd < 0 || !own)
		return procfd < 0 ? procfd : -EIO;
	r = proc_read_oom_score_adj(procfd, &oom);
	if (r < 0)
		return r;
	if (own->tgid != own->tid || own->parent != getppid() || own->oom_score_adj != oom || own->has_ended ||
	    !own->namespaces || !own->user_ns || !own->cgroups || !own->mm || !own->files || !own->fs ||
	    !own->sighand || !own->exe || !own->cwd.entry || !own->root.entry)
		return -EIO;
	knows_loginuid = proc_read_loginuid(procfd, &loginuid) == 0 && loginuid == own->loginuid;
	knows_filter = proc_read_coredump_filter(procfd, &filter) == 0 && filter == own->coredump_filter;
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0 && list->items[i].tid <= list->items[i - 1].tid)
			return -EIO;
		list->items[i].has_loginuid = knows_loginuid;
		list->items[i].has_coredump_filter = knows_filter;
	}
	list->own = *own;
	return 0;
}

static int take_records(const struct buffer *data, struct task_fact_list *ret)
{
	const struct record *records = (const void *)data->data;

	if (data->bytes == 0 || data->bytes % sizeof(*records))
		return -EIO;
	ret->count = data->bytes / sizeof(*records);
	ret->items = calloc(ret->count, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (size_t i = 0; i < ret->count; i++)
		ret->items[i] = from_record(&records[i]);
	return check(ret);
}

int task_facts_open(void)
{
	struct bpf_program program = { .count = 0 };
	const struct btf *btf;
	int r = btf_get(&btf);

	if (r == 0)
		r = build(&program, btf);
	return r < 0 ? r : bpf_iterator_load(btf, "bpf_iter_task", program.insns, program.count);
}

int task_facts_read(int program_fd, struct task_fact_list *ret)
{
	AUTO_BUFFER struct buffer data = { 0 };
	int r = bpf_iterator_run(program_fd, -1, &data);

	memset(ret, 0, sizeof(*ret));
	if (r == 0)
		r = take_records(&data, ret);
	if (r < 0)
		task_facts_done(ret);
	return r;
}

void task_facts_done(struct task_fact_list *list)
{
	free(list->items);
	memset(list, 0, sizeof(*list));
}
