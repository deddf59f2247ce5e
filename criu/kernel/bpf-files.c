#include "kernel/bpf-files.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"
#include "kernel/bpf-program.h"

#define CTX_TASK 8
#define CTX_FD   16 /* struct bpf_iter__task_file: meta, task, fd, file */
#define CTX_FILE 24

enum member {
	FILE_FLAGS,
	FILE_POSITION,
	FILE_OWNER,
	FILE_OPERATIONS,
	FILE_PATH,
	FILE_INODE,
	FILE_PRIVATE,
	FILE_MODE,
	FILE_READAHEAD,
	FILE_TOLD_ERROR,
	FILE_MAPPING,
	MAPPING_LAST_ERROR,
	READAHEAD_PAGES,
	PATH_MOUNT,
	PATH_ENTRY,
	INODE_NUMBER,
	INODE_MODE,
	INODE_UID,
	INODE_GID,
	INODE_LINKS,
	INODE_SUPERBLOCK,
	INODE_LOCKS,
	LOCKS_FLOCK,
	LOCKS_POSIX,
	LOCKS_LEASE,
	INODE_PIPE,
	PIPE_HEAD,
	PIPE_TAIL,
	PIPE_SLOTS,
	EVENT_COUNT,
	EVENT_FLAGS,
	TASK_FILES,
	FILES_TABLE,
	TABLE_CLOSE_ON_EXEC,
	FILE_WATCHERS, /* from here on they are missing where there are no epolls */
	LIST_FIRST,
	NODE_NEXT,
	WATCHER_NODE,
	WATCHER_EPOLL,
	WATCHER_TARGET,
	TARGET_NUMBER,
	MEMBER_COUNT,
};

static const struct btf_offset wanted[MEMBER_COUNT] = {
	[FILE_FLAGS] = { "file", "f_flags" },
	[FILE_POSITION] = { "file", "f_pos" },
	[FILE_OWNER] = { "file", "f_owner" },
	[FILE_OPERATIONS] = { "file", "f_op" },
	[FILE_PATH] = { "file", "f_path" },
	[FILE_INODE] = { "file", "f_inode" },
	[FILE_PRIVATE] = { "file", "private_data" },
	[FILE_MODE] = { "file", "f_mode" },
	[FILE_READAHEAD] = { "file", "f_ra" },
	[FILE_TOLD_ERROR] = { "file", "f_wb_err" },
	[FILE_MAPPING] = { "file", "f_mapping" },
	[MAPPING_LAST_ERROR] = { "address_space", "wb_err" },
	[READAHEAD_PAGES] = { "file_ra_state", "ra_pages" },
	[PATH_MOUNT] = { "path", "mnt" },
	[PATH_ENTRY] = { "path", "dentry" },
	[INODE_NUMBER] = { "inode", "i_ino" },
	[INODE_MODE] = { "inode", "i_mode" },
	[INODE_UID] = { "inode", "i_uid" },
	[INODE_GID] = { "inode", "i_gid" },
	[INODE_LINKS] = { "inode", "i_nlink" },
	[INODE_SUPERBLOCK] = { "inode", "i_sb" },
	[INODE_LOCKS] = { "inode", "i_flctx" },
	[LOCKS_FLOCK] = { "file_lock_context", "flc_flock" },
	[LOCKS_POSIX] = { "file_lock_context", "flc_posix" },
	[LOCKS_LEASE] = { "file_lock_context", "flc_lease" },
	[INODE_PIPE] = { "inode", "i_pipe" },
	[PIPE_HEAD] = { "pipe_inode_info", "head" },
	[PIPE_TAIL] = { "pipe_inode_info", "tail" },
	[PIPE_SLOTS] = { "pipe_inode_info", "max_usage" },
	[EVENT_COUNT] = { "eventfd_ctx", "count" },
	[EVENT_FLAGS] = { "eventfd_ctx", "flags" },
	[TASK_FILES] = { "task_struct", "files" },
	[FILES_TABLE] = { "files_struct", "fdt" },
	[TABLE_CLOSE_ON_EXEC] = { "fdtable", "close_on_exec" },
	[FILE_WATCHERS] = { "file", "f_ep" },
	[LIST_FIRST] = { "hlist_head", "first" },
	[NODE_NEXT] = { "hlist_node", "next" },
	[WATCHER_NODE] = { "epitem", "fllink" },
	[WATCHER_EPOLL] = { "epitem", "ep" },
	[WATCHER_TARGET] = { "epitem", "ffd" },
	[TARGET_NUMBER] = { "epoll_filefd", "fd" },
};

/* The program's stack: the record, then pointers that have no type. */
#define RECORD     (-(int)sizeof(struct bpf_file))
#define AT(member) ((int16_t)(RECORD + (int)offsetof(struct bpf_file, member)))
#define SLOT_LOCKS ((int16_t)(RECORD - 8))
#define SLOT_NEXT  ((int16_t)(RECORD - 16))

/* Registers beside those of bpf-program.h: the kernel knows what they point to, which lets them be read directly. */
enum { TO_FILE = 7, TO_INODE = 8, TO_PIPE = 9, TO_MAPPING = 9 };

/* A member of what a register points to, of so many bytes, to a place in the record. */
static const struct step {
	enum member member, inner; /* inner: a member of that member, or the same again */
	uint8_t from, size;
	int16_t to;
} steps[] = {
	{ FILE_FLAGS, FILE_FLAGS, TO_FILE, BPF_W, AT(flags) },
	{ FILE_POSITION, FILE_POSITION, TO_FILE, BPF_DW, AT(position) },
	{ FILE_OWNER, FILE_OWNER, TO_FILE, BPF_DW, AT(owner) },
	{ FILE_OPERATIONS, FILE_OPERATIONS, TO_FILE, BPF_DW, AT(operations) },
	{ FILE_PATH, PATH_MOUNT, TO_FILE, BPF_DW, AT(mount) },
	{ FILE_PATH, PATH_ENTRY, TO_FILE, BPF_DW, AT(entry) },
	{ FILE_PRIVATE, FILE_PRIVATE, TO_FILE, BPF_DW, AT(private_data) },
	{ FILE_MODE, FILE_MODE, TO_FILE, BPF_W, AT(mode_bits) },
	{ FILE_READAHEAD, READAHEAD_PAGES, TO_FILE, BPF_W, AT(readahead_pages) },
	{ FILE_TOLD_ERROR, FILE_TOLD_ERROR, TO_FILE, BPF_W, AT(told_error) },
	{ INODE_NUMBER, INODE_NUMBER, TO_INODE, BPF_DW, AT(inode_number) },
	{ INODE_MODE, INODE_MODE, TO_INODE, BPF_H, AT(mode) },
	{ INODE_UID, INODE_UID, TO_INODE, BPF_W, AT(uid) },
	{ INODE_GID, INODE_GID, TO_INODE, BPF_W, AT(gid) },
	{ INODE_LINKS, INODE_LINKS, TO_INODE, BPF_W, AT(links) },
	{ INODE_SUPERBLOCK, INODE_SUPERBLOCK, TO_INODE, BPF_DW, AT(superblock) },
	{ PIPE_HEAD, PIPE_HEAD, TO_PIPE, BPF_W, AT(pipe_head) },
	{ PIPE_TAIL, PIPE_TAIL, TO_PIPE, BPF_W, AT(pipe_tail) },
	{ PIPE_SLOTS, PIPE_SLOTS, TO_PIPE, BPF_W, AT(pipe_slots) },
};

static void emit_follow(struct bpf_program *p, uint8_t to, uint8_t from, const struct btf_offset *member)
{
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, to, from, (int16_t)member->offset, 0);
}

static void emit_step(struct bpf_program *p, const struct step *step, const struct btf_offset *at)
{
	int offset = at[step->member].offset;

	if (step->inner != step->member)
		offset += at[step->inner].offset;
	bpf_emit(p, BPF_LDX | BPF_MEM | step->size, 1, step->from, (int16_t)offset, 0);
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 1, step->to, 0);
}

/* What private data is only its owner knows. */
static void emit_private(struct bpf_program *p, int offset, int16_t to, int32_t bytes)
{
	bpf_emit_address(p, AT(private_data), offset);
	bpf_emit_fetch(p, to, bytes);
}

/* An inode that was locked once keeps its lists: an empty one leads to itself. */
static void emit_locks(struct bpf_program *p, const struct btf_offset *at)
{
	static const enum member lists[] = { LOCKS_FLOCK, LOCKS_POSIX, LOCKS_LEASE };
	size_t never_locked;

	bpf_emit(p, BPF_ST | BPF_MEM | BPF_DW, 10, 0, AT(locks), 0);
	/* Without its type, for pointers with one cannot be compared. */
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 9, TO_INODE, 0, 0);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_K, 9, 0, 0, at[INODE_LOCKS].offset);
	bpf_emit_fetch(p, SLOT_LOCKS, 8);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 10, SLOT_LOCKS, 0);
	never_locked = p->count;
	bpf_emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		bpf_emit_address(p, SLOT_LOCKS, at[lists[i]].offset);
		bpf_emit_fetch(p, SLOT_NEXT, 8);
		bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 10, SLOT_NEXT, 0);
		bpf_emit(p, BPF_ALU64 | BPF_SUB | BPF_X, 1, 9, 0, 0);
		bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 2, 10, AT(locks), 0);
		bpf_emit(p, BPF_ALU64 | BPF_OR | BPF_X, 2, 1, 0, 0);
		bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 2, AT(locks), 0);
	}
	p->insns[never_locked].off = (int16_t)(p->count - never_locked - 1);
}

static void emit_one_watcher(struct bpf_program *p, const struct btf_offset *at, int16_t to)
{
	const int item = -at[WATCHER_NODE].offset;

	bpf_emit_address(p, SLOT_NEXT, item + at[WATCHER_EPOLL].offset);
	bpf_emit_fetch(p, (int16_t)(to + (int)offsetof(struct bpf_watcher, epoll)), 8);
	bpf_emit_address(p, SLOT_NEXT, item + at[WATCHER_TARGET].offset + at[TARGET_NUMBER].offset);
	bpf_emit_fetch(p, (int16_t)(to + (int)offsetof(struct bpf_watcher, number)), 4);
	bpf_emit_follow(p, SLOT_NEXT, at[NODE_NEXT].offset, SLOT_NEXT);
}

/* A file that was watched once keeps its list; one without is done with at once. */
static void emit_watchers(struct bpf_program *p, const struct btf_offset *at)
{
	size_t ends[BPF_FILE_WATCHERS + 1];

	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 9, TO_FILE, 0, 0);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_K, 9, 0, 0, at[FILE_WATCHERS].offset);
	bpf_emit_fetch(p, SLOT_NEXT, 8);
	for (size_t i = 0; i <= BPF_FILE_WATCHERS; i++) {
		bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 10, SLOT_NEXT, 0);
		ends[i] = p->count;
		bpf_emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0, 0);
		if (i == 0)
			bpf_emit_follow(p, SLOT_NEXT, at[LIST_FIRST].offset, SLOT_NEXT);
		else
			emit_one_watcher(p, at, (int16_t)(AT(watchers) + (int)((i - 1) * sizeof(struct bpf_watcher))));
	}
	for (size_t i = 0; i <= BPF_FILE_WATCHERS; i++)
		p->insns[ends[i]].off = (int16_t)(p->count - ends[i] - 1);
}

static bool has_members(const struct btf_offset *at, enum member first, enum member end)
{
	for (enum member i = first; i < end; i++)
		if (at[i].offset < 0 || at[i].offset > INT16_MAX / 2)
			return false;
	return true;
}

/* The word of the table's bits where that of the descriptor is. */
static void emit_close_on_exec(struct bpf_program *p, const struct btf_offset *at)
{
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 6, CTX_TASK, 0);
	bpf_emit(p, BPF_JMP | BPF_JNE | BPF_K, 1, 0, 2, 0); /* where there is a file there is a task */
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	bpf_emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	emit_follow(p, 1, 1, &at[TASK_FILES]);
	emit_follow(p, 1, 1, &at[FILES_TABLE]);
	emit_follow(p, 9, 1, &at[TABLE_CLOSE_ON_EXEC]);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_W, 1, 6, CTX_FD, 0);
	bpf_emit(p, BPF_ALU64 | BPF_RSH | BPF_K, 1, 0, 0, 6);
	bpf_emit(p, BPF_ALU64 | BPF_LSH | BPF_K, 1, 0, 0, 3);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_X, 9, 1, 0, 0);
	bpf_emit_fetch(p, AT(close_on_exec), 8);
}

static void build(struct bpf_program *p, const struct btf_offset *at)
{
	size_t no_file;

	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, TO_FILE, 6, CTX_FILE, 0);
	no_file = p->count;
	bpf_emit(p, BPF_JMP | BPF_JEQ | BPF_K, TO_FILE, 0, 0, 0);
	emit_follow(p, TO_INODE, TO_FILE, &at[FILE_INODE]);
	emit_follow(p, TO_PIPE, TO_INODE, &at[INODE_PIPE]);
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, TO_FILE, AT(id), 0);
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, TO_INODE, AT(inode), 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_W, 1, 6, CTX_FD, 0);
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 1, AT(fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		emit_step(p, &steps[i], at);
	emit_follow(p, TO_MAPPING, TO_FILE, &at[FILE_MAPPING]); /* the pipe was in r9 */
	emit_step(p, &(struct step){ MAPPING_LAST_ERROR, MAPPING_LAST_ERROR, TO_MAPPING, BPF_W, AT(last_error) }, at);
	for (size_t i = 0; i < BPF_FILE_WATCHERS * sizeof(struct bpf_watcher); i += 8)
		bpf_emit(p, BPF_ST | BPF_MEM | BPF_DW, 10, 0, (int16_t)(AT(watchers) + (int)i), 0);
	if (has_members(at, FILE_WATCHERS, MEMBER_COUNT))
		emit_watchers(p, at);
	emit_locks(p, at);
	emit_close_on_exec(p, at);
	bpf_emit(p, BPF_ST | BPF_MEM | BPF_DW, 10, 0, AT(event_flags), 0);
	emit_private(p, at[EVENT_COUNT].offset, AT(event_count), 8);
	emit_private(p, at[EVENT_FLAGS].offset, AT(event_flags), 4);
	bpf_emit_write(p, (int16_t)RECORD, sizeof(struct bpf_file));
	p->insns[no_file].off = (int16_t)(p->count - no_file - 1);
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	bpf_emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

int bpf_files_open(void)
{
	struct bpf_program program = { .count = 0 };
	struct btf_offset at[MEMBER_COUNT];
	const struct btf *btf;
	int r = btf_get(&btf);

	if (r < 0)
		return r;
	memcpy(at, wanted, sizeof(at));
	btf_find_offsets(btf, at, MEMBER_COUNT);
	if (!has_members(at, 0, FILE_WATCHERS))
		return -ENOENT;
	build(&program, at);
	return bpf_iterator_load(btf, "bpf_iter_task_file", program.insns, program.count);
}

int bpf_files_list(int program_fd, pid_t tid, struct bpf_file **ret, size_t *ret_count)
{
	AUTO_BUFFER struct buffer data = { 0 };
	int r = bpf_iterator_run_thread(program_fd, tid, &data);

	if (r < 0)
		return r;
	if (data.bytes % sizeof(struct bpf_file))
		return -EIO;
	*ret_count = data.bytes / sizeof(struct bpf_file);
	*ret = (struct bpf_file *)(void *)TAKE_PTR(data.data);
	return 0;
}
