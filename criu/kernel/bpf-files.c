#include "kernel/bpf-files.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"
#include "kernel/bpf-program.h"

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
	INODE_NUMBER,
	INODE_MODE,
	INODE_SUPERBLOCK,
	INODE_LOCKS,
	EVENT_COUNT,
	EVENT_FLAGS,
	MEMBER_COUNT,
};

static const struct btf_offset wanted[MEMBER_COUNT] = {
	[FILE_FLAGS] = { "file", "f_flags" },        [FILE_POSITION] = { "file", "f_pos" },
	[FILE_OWNER] = { "file", "f_owner" },        [FILE_OPERATIONS] = { "file", "f_op" },
	[FILE_PATH] = { "file", "f_path" },          [FILE_INODE] = { "file", "f_inode" },
	[FILE_PRIVATE] = { "file", "private_data" }, [INODE_NUMBER] = { "inode", "i_ino" },
	[INODE_MODE] = { "inode", "i_mode" },        [INODE_SUPERBLOCK] = { "inode", "i_sb" },
	[INODE_LOCKS] = { "inode", "i_flctx" },      [EVENT_COUNT] = { "eventfd_ctx", "count" },
	[EVENT_FLAGS] = { "eventfd_ctx", "flags" },
};

/* The program's stack: the record, then a pointer on the way to what is wanted. */
#define RECORD       (-(int)sizeof(struct bpf_file))
#define AT(member)   ((int16_t)(RECORD + (int)offsetof(struct bpf_file, member)))
#define SLOT_FILE    AT(id)
#define SLOT_INODE   AT(inode)
#define SLOT_PRIVATE ((int16_t)(RECORD - 8))

/* From an offset of what a slot points to: what, the slot, where to, and of how many bytes. */
static const struct step {
	enum member member;
	int16_t slot, to;
	int32_t bytes;
} steps[] = {
	{ FILE_FLAGS, SLOT_FILE, AT(flags), 4 },
	{ FILE_POSITION, SLOT_FILE, AT(position), 8 },
	{ FILE_OWNER, SLOT_FILE, AT(owner), 8 },
	{ FILE_OPERATIONS, SLOT_FILE, AT(operations), 8 },
	{ FILE_PATH, SLOT_FILE, AT(mount), 16 }, /* struct path: mount and entry */
	{ FILE_INODE, SLOT_FILE, AT(inode), 8 },
	{ FILE_PRIVATE, SLOT_FILE, SLOT_PRIVATE, 8 },
	{ INODE_NUMBER, SLOT_INODE, AT(inode_number), 8 },
	{ INODE_MODE, SLOT_INODE, AT(mode), 2 },
	{ INODE_SUPERBLOCK, SLOT_INODE, AT(superblock), 8 },
	{ INODE_LOCKS, SLOT_INODE, AT(locks), 8 },
	{ EVENT_COUNT, SLOT_PRIVATE, AT(event_count), 8 },
	{ EVENT_FLAGS, SLOT_PRIVATE, AT(event_flags), 4 },
};

static void build(struct bpf_program *p, const struct btf_offset *at)
{
	size_t begin;

	begin = bpf_emit_begin(p, CTX_FILE, sizeof(struct bpf_file));
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 7, SLOT_FILE, 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_W, 1, 6, CTX_FD, 0);
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 1, AT(fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		bpf_emit_address(p, steps[i].slot, at[steps[i].member].offset);
		bpf_emit_fetch(p, steps[i].to, steps[i].bytes);
	}
	bpf_emit_end(p, begin, sizeof(struct bpf_file));
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
	for (size_t i = 0; i < MEMBER_COUNT; i++)
		if (at[i].offset < 0)
			return -ENOENT;
	build(&program, at);
	return bpf_iterator_load(btf, "bpf_iter_task_file", program.insns, program.count);
}

int bpf_files_list(int program_fd, int pidfd, struct bpf_file **ret, size_t *ret_count)
{
	AUTO_BUFFER struct buffer data = { 0 };
	int r = bpf_iterator_run(program_fd, pidfd, &data);

	if (r < 0)
		return r;
	if (data.bytes % sizeof(struct bpf_file))
		return -EIO;
	*ret_count = data.bytes / sizeof(struct bpf_file);
	*ret = (struct bpf_file *)(void *)TAKE_PTR(data.data);
	return 0;
}
