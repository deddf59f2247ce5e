/* What the kernel notes of uprobes in a process: read from its own structures, see kernel-memory.h. */
#pragma once

#include <stdbool.h>

#include "kernel/kernel-memory.h"

/* How many of its threads are in functions whose return is traced. */
int uprobe_state_traced_returns(struct kernel_memory *km, int pidfd, unsigned int *ret_threads);

/* Whether its address space has, or had, probes. */
int uprobe_state_is_marked(struct kernel_memory *km, int pidfd, bool *ret);
