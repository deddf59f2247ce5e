/*
 * Whose address space a file below /proc/PID shows: that which the process had when it was opened. When the process
 * executes another program the file stays with the old one, of which nothing is left.
 */
#pragma once

#include <stdint.h>

struct kernel_memory;

enum proc_memory_kind {
	PROC_MEMORY_NONE,  /* a file that is not of an address space */
	PROC_MEMORY_BYTES, /* mem, environ, auxv, pagemap */
	PROC_MEMORY_LIST,  /* maps and the like */
};

enum proc_memory_kind proc_memory_kind_of(const char *name);

/* Where that address space (struct mm_struct) is; the file is that of kernel_memory_file(). 0 or -errno. */
int proc_memory_read(struct kernel_memory *km, uint64_t file, enum proc_memory_kind kind, uint64_t *ret_mm);
