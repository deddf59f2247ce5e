#include "kernel/restart-block.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"

_Static_assert(sizeof(struct restart_block) == 48, "the kernel's layout");

#define ADD_OFFSET 6 /* the instruction that adds the member's offset */

/* clang-format off */
static const struct bpf_insn program[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 7, .src_reg = 6, .off = BPF_CONTEXT_OBJECT },
	{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 7, .imm = 0, .off = 12 }, /* the end of the walk: no task */
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = -(int)sizeof(struct restart_block) },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = sizeof(struct restart_block) },
	[ADD_OFFSET] = { .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 7, .imm = 0 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 7 },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = BPF_CONTEXT_META },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = BPF_META_SEQ },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -(int)sizeof(struct restart_block) },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = sizeof(struct restart_block) },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};
/* clang-format on */

int restart_block_open(void)
{
	struct bpf_insn ready[ARRAY_SIZE(program)];
	const struct btf *btf;
	int r = btf_get(&btf), offset;

	if (r < 0)
		return r;
	offset = btf_member_offset(btf, "task_struct", "restart_block");
	if (offset < 0)
		return offset;
	memcpy(ready, program, sizeof(ready));
	ready[ADD_OFFSET].imm = offset;
	return bpf_iterator_load(btf, "bpf_iter_task", ready, ARRAY_SIZE(ready));
}

int restart_block_list(int program_fd, int pidfd, struct restart_block **ret, size_t *ret_count)
{
	AUTO_BUFFER struct buffer data = { 0 };
	int r = bpf_iterator_run(program_fd, pidfd, &data);

	if (r < 0)
		return r;
	if (data.bytes % sizeof(struct restart_block))
		return -EIO;
	*ret_count = data.bytes / sizeof(struct restart_block);
	*ret = (struct restart_block *)(void *)TAKE_PTR(data.data);
	return 0;
}
