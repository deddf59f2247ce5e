#include "kernel/bpf-vmas.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "kernel/bpf-iterator.h"

#define CONTEXT_VMA 16 /* struct bpf_iter__task_vma: meta, task, vma */

/* The instructions that read a member: their offsets are this kernel's. */
#define READ_START 3
#define READ_FLAGS 5

/* clang-format off */
static const struct bpf_insn program[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 7, .src_reg = 6, .off = CONTEXT_VMA },
	{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 7, .imm = 0, .off = 10 }, /* the end of the walk: no mapping */
	[READ_START] = { .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 7 },
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 1, .off = -16 },
	[READ_FLAGS] = { .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 7 },
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 1, .off = -8 },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = BPF_CONTEXT_META },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = BPF_META_SEQ },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -(int)sizeof(struct bpf_vma) },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = sizeof(struct bpf_vma) },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};
/* clang-format on */

int bpf_vmas_open(void)
{
	struct bpf_insn ready[ARRAY_SIZE(program)];
	const struct btf *btf;
	int r = btf_get(&btf), start, flags;

	if (r < 0)
		return r;
	start = btf_member_offset(btf, "vm_area_struct", "vm_start");
	flags = btf_member_offset(btf, "vm_area_struct", "vm_flags");
	if (start < 0 || flags < 0)
		return -ENOENT;
	memcpy(ready, program, sizeof(ready));
	ready[READ_START].off = (short)start;
	ready[READ_FLAGS].off = (short)flags;
	return bpf_iterator_load(btf, "bpf_iter_task_vma", ready, ARRAY_SIZE(ready));
}

int bpf_vmas_list(int program_fd, int pidfd, struct buffer *output, size_t *ret_count)
{
	const struct bpf_vma *vmas;
	size_t count;
	int r = bpf_iterator_run(program_fd, pidfd, output);

	if (r < 0)
		return r;
	if (output->bytes % sizeof(struct bpf_vma))
		return -EIO;
	count = output->bytes / sizeof(struct bpf_vma);
	vmas = (const void *)output->data;
	/* A thread with a descriptor table of its own is walked too: the same mappings once more. */
	for (size_t i = 1; i < count; i++)
		if (vmas[i].start <= vmas[i - 1].start)
			count = i;
	*ret_count = count;
	return 0;
}
