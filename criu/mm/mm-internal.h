/* What mm-look.c decides and mm-save.c writes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "images/mm.pb-c.h"
#include "images/vma.pb-c.h"
#include "kernel/pagemap-scan.h"

struct area {
	VmaEntry entry;
	const struct proc_vma *vma; /* NULL for guard ranges */
	enum page_selection pages;
	bool has_pages; /* content goes to the task's pages file */
	bool can_be_lazy;
	uint64_t kept_end;      /* of a file mapping: up to here every page is saved, not only copied ones; else 0 */
	bool has_others_policy; /* of the memory behind it: set by another mapping */
};

struct task_memory {
	struct area *areas; /* in the order of the image: ascending, guards last */
	size_t area_count, area_capacity;
	AioRingEntry *aios;
	size_t aio_count, aio_capacity;
	int pagemap_fd;
	bool has_uprobes; /* mappings of the kernel's, which are left out */
	uint64_t vdso_start;
	uint64_t vdso_bytes;
	VmaPolicyEntry *policies; /* one for each area, or NULL */
	uint32_t allocated_keys;  /* protection keys as the kernel has them, with its own; 0: not known */
	int execute_only_key;     /* its own, below 1: none */
	void *vdso; /* its bytes as they were before anything of ours was poked into it; NULL without a vdso */
};
