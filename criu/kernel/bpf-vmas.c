#include "kernel/bpf-vmas.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"
#include "kernel/bpf-program.h"

#define READ_BYTES  65536 /* the kernel gives half of it at once */
#define CONTEXT_VMA 16    /* struct bpf_iter__task_vma: meta, task, vma */
#define RECORD      (-(int)sizeof(struct bpf_vma))

enum {
	VMA_OPERATIONS = 5,
	VMA_NAME,
	VMA_POLICY,
	VMA_MEMBERS,
	POLICY_HOME = VMA_MEMBERS,
	OBJECT_POLICY,
	WANTED,
};

/* In the order of struct bpf_vma. */
static const struct btf_offset wanted[WANTED] = {
	{ "vm_area_struct", "vm_start" },
	{ "vm_area_struct", "vm_end" },
	{ "vm_area_struct", "vm_flags" },
	{ "vm_area_struct", "vm_pgoff" },
	{ "vm_area_struct", "vm_file" },
	{ "vm_area_struct", "vm_ops" },
	{ "vm_area_struct", "anon_name" },        /* CONFIG_ANON_VMA_NAME */
	{ "vm_area_struct", "vm_policy" },        /* CONFIG_NUMA */
	{ "mempolicy", "home_node" },             /* since Linux 5.17 */
	{ "vm_operations_struct", "get_policy" }, /* CONFIG_NUMA */
};

/* r1: the operations; without any the kernel reads zeros. */
static void emit_object_policy(struct bpf_program *p, int offset)
{
	const int16_t to = (int16_t)(RECORD + (int)offsetof(struct bpf_vma, object_policy));

	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 2, 1, (int16_t)offset, 0);
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 2, to, 0);
}

/* r1: the policy, which hardly any mapping has. */
static void emit_home_node(struct bpf_program *p, int16_t offset)
{
	const int16_t to = (int16_t)(RECORD + (int)offsetof(struct bpf_vma, home_node));

	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0);
	bpf_emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1, 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_W, 2, 1, offset, 0);
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 2, to, 0);
}

static void build(struct bpf_program *p, const struct btf_offset *at)
{
	size_t begin;

	begin = bpf_emit_begin(p, CONTEXT_VMA, sizeof(struct bpf_vma));
	for (int i = 0; i < VMA_MEMBERS; i++) {
		if (at[i].offset >= 0)
			bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 7, (int16_t)at[i].offset, 0);
		else /* a policy that cannot be seen may be there */
			bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, i == VMA_POLICY);
		bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 1, (int16_t)(RECORD + 8 * i), 0);
		if (i == VMA_OPERATIONS && at[OBJECT_POLICY].offset >= 0)
			emit_object_policy(p, at[OBJECT_POLICY].offset);
	}
	_Static_assert(offsetof(struct bpf_vma, policy) == 8 * VMA_POLICY, "its pointer is in r1 now");
	if (at[VMA_POLICY].offset >= 0 && at[POLICY_HOME].offset >= 0)
		emit_home_node(p, (int16_t)at[POLICY_HOME].offset);
	bpf_emit_end(p, begin, sizeof(struct bpf_vma));
}

int bpf_vmas_open(void)
{
	struct bpf_program program = { .count = 0 };
	struct btf_offset at[WANTED];
	const struct btf *btf;
	int r = btf_get(&btf);

	if (r < 0)
		return r;
	memcpy(at, wanted, sizeof(at));
	btf_find_offsets(btf, at, WANTED);
	for (int i = 0; i < VMA_NAME; i++)
		if (at[i].offset < 0)
			return -ENOENT;
	build(&program, at);
	return bpf_iterator_load(btf, "bpf_iter_task_vma", program.insns, program.count);
}

/*
 * After the last mapping of one thread the kernel begins anew with those that followed the last but one read, and never
 * comes to an end.
 */
static int read_mappings(int iterator, struct buffer *output)
{
	size_t count = 0;

	output->bytes = 0;
	for (;;) {
		int r = buffer_reserve(output, READ_BYTES);
		ssize_t n = r < 0 ? r : TEMP_FAILURE_RETRY(read(iterator, output->data + output->bytes, READ_BYTES));
		const struct bpf_vma *vmas = (const void *)output->data;

		if (n <= 0)
			return r < 0 ? r : n < 0 ? -errno : 0;
		output->bytes += (size_t)n;
		for (; (count + 1) * sizeof(*vmas) <= output->bytes; count++) {
			if (count == 0 || vmas[count].start > vmas[count - 1].start)
				continue;
			output->bytes = count * sizeof(*vmas);
			return 0;
		}
	}
}

int bpf_vmas_list(int program_fd, pid_t tid, struct buffer *output, size_t *ret_count)
{
	AUTO_CLOSE int iterator = bpf_iterator_open_thread(program_fd, tid);
	int r = iterator < 0 ? iterator : read_mappings(iterator, output);

	if (r < 0)
		return r;
	if (output->bytes % sizeof(struct bpf_vma))
		return -EIO;
	*ret_count = output->bytes / sizeof(struct bpf_vma);
	return 0;
}
