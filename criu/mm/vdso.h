/*
 * The vdso of a restored task. The kernel maps its own at the address the old one had when both are the same, byte for
 * byte. When they differ the old code stays where it was, as ordinary memory, because the task's pointers lead there;
 * each of its functions becomes a jump to the same function of the kernel's vdso in a hole nearby.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct restore;
struct restore_task;

/* This kernel's vdso, as the worker has it; read once. */
struct vdso_image {
	uint64_t data_bytes; /* of vvar and what else lies right in front of the code */
	uint64_t code_bytes;
	const void *code; /* in our own address space; NULL: this kernel has none */
};

int vdso_read_own(struct vdso_image *ret);

/* Sets vdso, vdso_map_at, vdso_unmap and jumps of task->restorer. */
int vdso_plan(struct restore *r, struct restore_task *task, struct error *err);

/* At most so many jumps are planned. */
#define VDSO_JUMP_LIMIT 32

/* Where in a vdso the stub of a system call can stand: zero bytes at its end that no function covers; 0: nowhere. */
uint64_t vdso_stub_offset(const void *code, uint64_t code_bytes);
