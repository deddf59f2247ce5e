#include "kernel/task-facts.h"

#include <errno.h>
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

enum member {
	TASK_THREAD_PID,
	TASK_GROUP_LEADER,
	TASK_REAL_PARENT,
	TASK_EXIT_STATE,
	TASK_NSPROXY,
	TASK_CRED,
	TASK_CGROUPS,
	TASK_MM,
	TASK_FILES,
	TASK_FS,
	TASK_SIGHAND,
	TASK_SIGNAL,
	TASK_THREAD,
	TASK_LOGINUID,
	TASK_SEMAPHORES,
	SEMAPHORES_UNDO,
	TASK_IO_CONTEXT,
	PID_LEVEL,
	PID_NUMBERS,
	UPID_NS,
	CRED_USER_NS,
	SIGNAL_OOM_SCORE_ADJ,
	SIGNAL_POSIX_TIMERS,
	THREAD_TLS,
	MM_EXE,
	MM_START_BRK,
	MM_BRK,
	MM_START_STACK,
	FS_CWD,
	FS_ROOT,
	MM_FLAGS,
	MEMBER_COUNT,
};

static const struct btf_offset wanted[MEMBER_COUNT] = {
	[TASK_THREAD_PID] = { "task_struct", "thread_pid" },
	[TASK_GROUP_LEADER] = { "task_struct", "group_leader" },
	[TASK_REAL_PARENT] = { "task_struct", "real_parent" },
	[TASK_EXIT_STATE] = { "task_struct", "exit_state" },
	[TASK_NSPROXY] = { "task_struct", "nsproxy" },
	[TASK_CRED] = { "task_struct", "real_cred" },
	[TASK_CGROUPS] = { "task_struct", "cgroups" },
	[TASK_MM] = { "task_struct", "mm" },
	[TASK_FILES] = { "task_struct", "files" },
	[TASK_FS] = { "task_struct", "fs" },
	[TASK_SIGHAND] = { "task_struct", "sighand" },
	[TASK_SIGNAL] = { "task_struct", "signal" },
	[TASK_THREAD] = { "task_struct", "thread" },
	[TASK_LOGINUID] = { "task_struct", "loginuid" },
	[TASK_SEMAPHORES] = { "task_struct", "sysvsem" },
	[SEMAPHORES_UNDO] = { "sysv_sem", "undo_list" },
	[TASK_IO_CONTEXT] = { "task_struct", "io_context" },
	[PID_LEVEL] = { "pid", "level" },
	[PID_NUMBERS] = { "pid", "numbers" },
	[UPID_NS] = { "upid", "ns" },
	[CRED_USER_NS] = { "cred", "user_ns" },
	[SIGNAL_OOM_SCORE_ADJ] = { "signal_struct", "oom_score_adj" },
	[SIGNAL_POSIX_TIMERS] = { "signal_struct", "posix_timers" },
	[THREAD_TLS] = { "thread_struct", "tls_array" },
	[MM_EXE] = { "mm_struct", "exe_file" },
	[MM_START_BRK] = { "mm_struct", "start_brk" },
	[MM_BRK] = { "mm_struct", "brk" },
	[MM_START_STACK] = { "mm_struct", "start_stack" },
	[FS_CWD] = { "fs_struct", "pwd" },
	[FS_ROOT] = { "fs_struct", "root" },
	[MM_FLAGS] = { "mm_struct", "flags" },
};

#define TLS_BYTES 24

/* What the program writes for each task; narrower members of the kernel stand at the start of zeroed words. */
struct record {
	uint64_t tid, tgid;
	uint64_t level;
	uint64_t parent, parent_ns; /* a struct upid: garbage unless the namespace is that of own_ns */
	uint64_t own_ns;
	uint64_t exit_state;
	uint64_t nsproxy, user_ns, cgroups, mm, files, fs, sighand, exe;
	uint64_t heap_start, heap_end, stack_start;
	struct path_fact cwd, root;
	uint64_t oom_score_adj, posix_timers, mm_flags, loginuid, undo_list, io_context;
	uint8_t tls[TLS_BYTES];
};

/* The program's stack: the record, then pointers on the way to what is wanted. */
#define RECORD      (-(int)sizeof(struct record))
#define AT(member)  ((int16_t)(RECORD + (int)offsetof(struct record, member)))
#define SLOT_TASK   ((int16_t)(RECORD - 8))
#define SLOT_OTHER  ((int16_t)(RECORD - 16))
#define SLOT_PID    ((int16_t)(RECORD - 24))
#define SLOT_SIGNAL ((int16_t)(RECORD - 32))
#define SLOT_MM     AT(mm)
#define SLOT_FS     AT(fs)

/* One word of the record: bytes at an offset of what a slot points to. */
static void emit_value(struct bpf_program *p, int16_t slot, int offset, int16_t to, int32_t bytes)
{
	bpf_emit_address(p, slot, offset);
	bpf_emit_fetch(p, to, bytes);
}

static struct bpf_pid_offsets pid_offsets(const struct btf_offset *at)
{
	return (struct bpf_pid_offsets){ at[TASK_THREAD_PID].offset, at[PID_LEVEL].offset, at[PID_NUMBERS].offset };
}

static void emit_own_level(struct bpf_program *p, const struct btf_offset *at)
{
	const struct bpf_pid_offsets pid_at = pid_offsets(at);

	bpf_emit_own_level(p, &pid_at, SLOT_PID, AT(level));
	bpf_emit_address(p, SLOT_PID, at[PID_NUMBERS].offset + at[UPID_NS].offset);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_X, 9, 8, 0, 0);
	bpf_emit_fetch(p, AT(own_ns), 8);
}

static void emit_ids(struct bpf_program *p, const struct btf_offset *at)
{
	const struct bpf_pid_offsets pid_at = pid_offsets(at);

	bpf_emit_number(p, &pid_at, SLOT_TASK, SLOT_PID, AT(tid), 4);
	emit_value(p, SLOT_PID, at[PID_LEVEL].offset, AT(level), 4);
	bpf_emit_follow(p, SLOT_TASK, at[TASK_GROUP_LEADER].offset, SLOT_OTHER);
	bpf_emit_number(p, &pid_at, SLOT_OTHER, SLOT_PID, AT(tgid), 4);
	bpf_emit_follow(p, SLOT_TASK, at[TASK_REAL_PARENT].offset, SLOT_OTHER);
	bpf_emit_follow(p, SLOT_OTHER, at[TASK_GROUP_LEADER].offset, SLOT_OTHER);
	bpf_emit_number(p, &pid_at, SLOT_OTHER, SLOT_PID, AT(parent), 16);
}

static void emit_objects(struct bpf_program *p, const struct btf_offset *at)
{
	emit_value(p, SLOT_TASK, at[TASK_EXIT_STATE].offset, AT(exit_state), 4);
	emit_value(p, SLOT_TASK, at[TASK_NSPROXY].offset, AT(nsproxy), 8);
	emit_value(p, SLOT_TASK, at[TASK_CGROUPS].offset, AT(cgroups), 8);
	emit_value(p, SLOT_TASK, at[TASK_MM].offset, AT(mm), 8);
	emit_value(p, SLOT_TASK, at[TASK_FILES].offset, AT(files), 8);
	emit_value(p, SLOT_TASK, at[TASK_FS].offset, AT(fs), 8);
	emit_value(p, SLOT_TASK, at[TASK_SIGHAND].offset, AT(sighand), 8);
	emit_value(p, SLOT_TASK, at[TASK_THREAD].offset + at[THREAD_TLS].offset, AT(tls), TLS_BYTES);
	bpf_emit_follow(p, SLOT_TASK, at[TASK_CRED].offset, SLOT_OTHER);
	emit_value(p, SLOT_OTHER, at[CRED_USER_NS].offset, AT(user_ns), 8);
	bpf_emit_follow(p, SLOT_TASK, at[TASK_SIGNAL].offset, SLOT_SIGNAL);
	emit_value(p, SLOT_SIGNAL, at[SIGNAL_OOM_SCORE_ADJ].offset, AT(oom_score_adj), 2);
	emit_value(p, SLOT_SIGNAL, at[SIGNAL_POSIX_TIMERS].offset, AT(posix_timers), 8);
	emit_value(p, SLOT_FS, at[FS_CWD].offset, AT(cwd), sizeof(struct path_fact));
	emit_value(p, SLOT_FS, at[FS_ROOT].offset, AT(root), sizeof(struct path_fact));
	emit_value(p, SLOT_MM, at[MM_EXE].offset, AT(exe), 8);
	emit_value(p, SLOT_MM, at[MM_START_BRK].offset, AT(heap_start), 8);
	emit_value(p, SLOT_MM, at[MM_BRK].offset, AT(heap_end), 8);
	emit_value(p, SLOT_MM, at[MM_START_STACK].offset, AT(stack_start), 8);
	if (at[TASK_LOGINUID].offset >= 0)
		emit_value(p, SLOT_TASK, at[TASK_LOGINUID].offset, AT(loginuid), 4);
	if (at[TASK_SEMAPHORES].offset >= 0 && at[SEMAPHORES_UNDO].offset >= 0)
		emit_value(p, SLOT_TASK, at[TASK_SEMAPHORES].offset + at[SEMAPHORES_UNDO].offset, AT(undo_list), 8);
	if (at[TASK_IO_CONTEXT].offset >= 0)
		emit_value(p, SLOT_TASK, at[TASK_IO_CONTEXT].offset, AT(io_context), 8);
	if (at[MM_FLAGS].offset >= 0)
		emit_value(p, SLOT_MM, at[MM_FLAGS].offset, AT(mm_flags), 8);
}

static void build(struct bpf_program *p, const struct btf_offset *at)
{
	size_t begin;

	begin = bpf_emit_begin(p, BPF_CONTEXT_OBJECT, sizeof(struct record));
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 7, SLOT_TASK, 0);
	emit_own_level(p, at);
	emit_ids(p, at);
	emit_objects(p, at);
	bpf_emit_end(p, begin, sizeof(struct record));
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static struct task_facts from_record(const struct record *record)
{
	static const uint8_t no_tls[TLS_BYTES];

	return (struct task_facts){
		.tid = (pid_t)record->tid,
		.tgid = (pid_t)record->tgid,
		.parent = record->parent_ns == record->own_ns ? (pid_t)(uint32_t)record->parent : 0,
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
		.has_tls = memcmp(record->tls, no_tls, TLS_BYTES) != 0,
		.oom_score_adj = (int16_t)record->oom_score_adj,
		.has_coredump_filter = true,
		.coredump_filter = (uint32_t)(record->mm_flags >> DUMP_FILTER_SHIFT) & DUMP_FILTER_MASK,
		.has_loginuid = true,
		.loginuid = (uint32_t)record->loginuid,
		.undo_list = record->undo_list,
		.io_context = record->io_context,
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

/* What is not built into every kernel, or not a number in every one: nobody has it, or it is not believed. */
static bool may_be_missing(enum member member)
{
	return member == TASK_LOGINUID || member == TASK_SEMAPHORES || member == SEMAPHORES_UNDO ||
	       member == TASK_IO_CONTEXT || member == MM_FLAGS;
}

int task_facts_open(void)
{
	struct btf_offset at[MEMBER_COUNT];
	struct bpf_program program = { .count = 0 };
	const struct btf *btf;
	int r = btf_get(&btf);

	if (r < 0)
		return r;
	memcpy(at, wanted, sizeof(at));
	btf_find_offsets(btf, at, MEMBER_COUNT);
	for (size_t i = 0; i < MEMBER_COUNT; i++)
		if (at[i].offset < 0 && !may_be_missing((enum member)i))
			return -ENOENT;
	build(&program, at);
	return bpf_iterator_load(btf, "bpf_iter_task", program.insns, program.count);
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
