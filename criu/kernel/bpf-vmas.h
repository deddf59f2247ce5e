/*
 * All mappings of a process as the kernel keeps them, by a BPF iterator (kernel/bpf-iterator.h): a fraction of what
 * smaps costs, which walks the page tables. The flags have no fixed meaning from one kernel to another; equal words
 * mean equal VmFlags. Addresses of the kernel's objects are there to be compared while they are in use.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"

#define BPF_VMA_NO_NODE 0xffffffffu

struct bpf_vma {
	uint64_t start, end;
	uint64_t flags;
	uint64_t offset; /* in pages */
	uint64_t file, operations, name;
	uint64_t policy;        /* of mbind(2), 0: none */
	uint64_t home_node;     /* of that policy, BPF_VMA_NO_NODE: none */
	uint64_t object_policy; /* 0: what is mapped cannot have any either */
};

/* Loads the program: a descriptor of it, or -errno. Takes a millisecond. */
int bpf_vmas_open(void);

/* Those of the process of a thread, ascending by start; output is replaced by an array of struct bpf_vma. */
int bpf_vmas_list(int program_fd, pid_t tid, struct buffer *output, size_t *ret_count);
