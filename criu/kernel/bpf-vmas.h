/*
 * The kernel's own flag words of all mappings of a process, by a BPF iterator (kernel/bpf-iterator.h): a fraction of
 * what smaps costs, which walks the page tables. The bits have no fixed meaning from one kernel to another; equal words
 * mean equal VmFlags.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct bpf_vma {
	uint64_t start, flags;
};

/* Loads the program: a descriptor of it, or -errno. Takes a millisecond. */
int bpf_vmas_open(void);

/* Ascending by start; output is replaced by an array of struct bpf_vma. */
int bpf_vmas_list(int program_fd, int pidfd, struct buffer *output, size_t *ret_count);
