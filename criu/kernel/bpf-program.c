#include "kernel/bpf-program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/bpf-iterator.h"

#define UPID_BYTES_SHIFT 4 /* struct upid: a number and the namespace it is valid in */

void bpf_emit(struct bpf_program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	if (p->count < BPF_PROGRAM_MAX)
		p->insns[p->count] =
		    (struct bpf_insn){ .code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm };
	p->count++;
}

void bpf_emit_fetch(struct bpf_program *p, int16_t stack, int32_t bytes)
{
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, stack);
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, bytes);
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 3, 9, 0, 0);
	bpf_emit(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel);
}

void bpf_emit_address(struct bpf_program *p, int16_t slot, int offset)
{
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 9, 10, slot, 0);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_K, 9, 0, 0, offset);
}

void bpf_emit_follow(struct bpf_program *p, int16_t from_slot, int offset, int16_t to_slot)
{
	bpf_emit_address(p, from_slot, offset);
	bpf_emit_fetch(p, to_slot, 8);
}

void bpf_emit_own_level(struct bpf_program *p, const struct bpf_pid_offsets *at, int16_t slot, int16_t word)
{
	bpf_emit(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_current_task);
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 0, slot, 0);
	bpf_emit_follow(p, slot, at->thread_pid, slot);
	bpf_emit_address(p, slot, at->level);
	bpf_emit_fetch(p, word, 4);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 8, 10, word, 0);
	bpf_emit(p, BPF_ALU64 | BPF_LSH | BPF_K, 8, 0, 0, UPID_BYTES_SHIFT);
}

void bpf_emit_number(struct bpf_program *p, const struct bpf_pid_offsets *at, int16_t task_slot, int16_t pid_slot,
		     int16_t to, int32_t bytes)
{
	bpf_emit_follow(p, task_slot, at->thread_pid, pid_slot);
	bpf_emit_address(p, pid_slot, at->numbers);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_X, 9, 8, 0, 0);
	bpf_emit_fetch(p, to, bytes);
}

int bpf_values_find(const struct btf *btf, struct bpf_value *values, size_t count, struct btf_offset *others,
		    size_t other_count)
{
	AUTO_FREE struct btf_offset *all = calloc(count + other_count + 1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		all[i] = values[i].member;
	if (other_count)
		memcpy(all + count, others, other_count * sizeof(*others));
	btf_find_offsets(btf, all, count + other_count);
	if (other_count)
		memcpy(others, all + count, other_count * sizeof(*others));
	for (size_t i = 0; i < count; i++) {
		values[i].member = all[i];
		if (all[i].offset < 0 && !values[i].may_be_missing)
			return -ENOENT;
	}
	return 0;
}

void bpf_emit_values(struct bpf_program *p, const struct bpf_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (values[i].member.offset < 0)
			continue;
		bpf_emit_address(p, values[i].slot, values[i].member.offset);
		bpf_emit_fetch(p, values[i].to, values[i].bytes);
	}
}

void bpf_emit_write(struct bpf_program *p, int16_t stack, int32_t bytes)
{
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 6, BPF_CONTEXT_META, 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 1, BPF_META_SEQ, 0);
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, stack);
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, bytes);
	bpf_emit(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_seq_write);
}

size_t bpf_emit_begin(struct bpf_program *p, int16_t object, int32_t record_bytes)
{
	size_t begin;

	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 7, 6, object, 0);
	begin = p->count;
	bpf_emit(p, BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 0, 0); /* the end of the walk: no object */
	for (int word = -record_bytes; word < 0; word += 8)
		bpf_emit(p, BPF_ST | BPF_MEM | BPF_DW, 10, 0, (int16_t)word, 0);
	return begin;
}

size_t bpf_emit_close(struct bpf_program *p, size_t begin)
{
	const size_t end = p->count;

	if (begin < BPF_PROGRAM_MAX)
		p->insns[begin].off = (int16_t)(end - begin - 1);
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	bpf_emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return end;
}

void bpf_emit_end(struct bpf_program *p, size_t begin, int32_t record_bytes)
{
	bpf_emit_write(p, (int16_t)-record_bytes, record_bytes);
	(void)bpf_emit_close(p, begin);
}
