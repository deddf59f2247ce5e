/*
 * NUMA policies of mappings (mbind(2)). A policy of anonymous memory is the mapping's; one of shared memory is kept
 * with that memory, by ranges, and holds for all who map it.
 */
#pragma once

#include "base/error.h"
#include "engine/dump.h"
#include "task/task.h"

struct parasite_mapping;

/*
 * Infect stage: what the parasite was told of each mapping of task->maps becomes part of its area. A second call for
 * the same task replaces what the first has found.
 */
int numa_policies_take(struct dump *d, struct task *task, const struct parasite_mapping *mappings, struct error *err);

/* When all are taken: whether each policy of shared memory belongs to a mapping of the tree, which brings it back. */
int numa_policies_check(struct dump *d, struct error *err);
