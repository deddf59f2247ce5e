#include "kernel/bpf-files.h"

#include <errno.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"

#define CTX_FD   16 /* struct bpf_iter__task_file: meta, task, fd, file */
#define CTX_FILE 24

/* clang-format off */
static const struct bpf_insn program[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 7, .src_reg = 6, .off = CTX_FILE },
	{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 7, .imm = 0, .off = 9 }, /* the end of the walk: no file */
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 7, .off = -8 },
	{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 6, .off = CTX_FD },
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 1, .off = -16 },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = BPF_CONTEXT_META },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = BPF_META_SEQ },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -16 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = sizeof(struct bpf_file) },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};
/* clang-format on */

int bpf_files_open(void)
{
	const struct btf *btf;
	int r = btf_get(&btf);

	return r < 0 ? r : bpf_iterator_load(btf, "bpf_iter_task_file", program, ARRAY_SIZE(program));
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
