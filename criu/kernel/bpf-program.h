/*
 * Builds programs for BPF iterators that follow the kernel's pointers. They read by bpf_probe_read_kernel(), which
 * yields zeros where there is nothing. Registers by convention: r6 the iterator's context, r9 the address to read at.
 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/btf.h"

#define BPF_PROGRAM_MAX 768

struct bpf_program {
	struct bpf_insn insns[BPF_PROGRAM_MAX];
	size_t count; /* more than BPF_PROGRAM_MAX: it did not fit */
};

void bpf_emit(struct bpf_program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm);

/* Copies bytes from the address in r9 to the stack. */
void bpf_emit_fetch(struct bpf_program *p, int16_t stack, int32_t bytes);

/* r9 = the pointer in a slot of the stack, plus an offset. */
void bpf_emit_address(struct bpf_program *p, int16_t slot, int offset);

/* to_slot = the pointer that stands at an offset of what from_slot points to. */
void bpf_emit_follow(struct bpf_program *p, int16_t from_slot, int offset, int16_t to_slot);

/*
 * The number of the task in a slot as our pid namespace has it, where the iterator runs: the depth of that, times the
 * size of a struct upid, stands in r8 after the first, which needs a slot and a word that is zero.
 */
struct bpf_pid_offsets {
	int thread_pid, level, numbers; /* of struct task_struct, struct pid */
};

void bpf_emit_own_level(struct bpf_program *p, const struct bpf_pid_offsets *at, int16_t slot, int16_t word);
void bpf_emit_number(struct bpf_program *p, const struct bpf_pid_offsets *at, int16_t task_slot, int16_t pid_slot,
		     int16_t to, int32_t bytes);

/* A member of a structure as it is: so many bytes of what the pointer in a slot leads to. */
struct bpf_value {
	struct btf_offset member;
	int16_t slot, to;
	int32_t bytes;
	bool may_be_missing; /* kernels are built without it: it stays zero */
};

/* A row of a table of them. */
#define BPF_VALUE(structure, m, slot, to, bytes)                                                                       \
	{                                                                                                              \
		{ structure, m }, slot, to, bytes, false                                                               \
	}
#define BPF_VALUE_OPTIONAL(structure, m, slot, to, bytes)                                                              \
	{                                                                                                              \
		{ structure, m }, slot, to, bytes, true                                                                \
	}

/* Finds the members, and others in the same pass: -ENOENT when one is missing that may not; others may all be. */
int bpf_values_find(const struct btf *btf, struct bpf_value *values, size_t count, struct btf_offset *others,
		    size_t other_count);

/* In their order, once they were found. */
void bpf_emit_values(struct bpf_program *p, const struct bpf_value *values, size_t count);

/* Writes bytes of the stack to the reader of the iterator. */
void bpf_emit_write(struct bpf_program *p, int16_t stack, int32_t bytes);

/*
 * The frame of a program that writes one record for each object of the iterator, at the end of its stack: in between r7
 * is the object, which stands at an offset of the context, and the record is zeroed.
 */
size_t bpf_emit_begin(struct bpf_program *p, int16_t object, int32_t record_bytes);
void bpf_emit_end(struct bpf_program *p, size_t begin, int32_t record_bytes);

/* The same for a program that has written what it has to tell: where its end is, for jumps of its own. */
size_t bpf_emit_close(struct bpf_program *p, size_t begin);
