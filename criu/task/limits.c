/* Resource limits, in the order of the RLIMIT_ numbers. */
#include <errno.h>

#include "pie/parasite-border.h"
#include "task/core-save.h"

int limits_save(const struct task *task, TaskCoreEntry *tc, struct arena *arena)
{
	TaskRlimitsEntry *limits = arena_alloc(arena, sizeof(*limits));

	if (!limits)
		return -ENOMEM;
	task_rlimits_entry__init(limits);
	limits->rlimits = arena_alloc(arena, PARASITE_LIMITS * sizeof(*limits->rlimits));
	if (!limits->rlimits)
		return -ENOMEM;
	for (int i = 0; i < PARASITE_LIMITS; i++) {
		RlimitEntry *entry = arena_alloc(arena, sizeof(*entry));

		if (!entry)
			return -ENOMEM;
		rlimit_entry__init(entry);
		entry->cur = task->parasite->limits[i].current;
		entry->max = task->parasite->limits[i].maximum;
		limits->rlimits[limits->n_rlimits++] = entry;
	}
	tc->rlimits = limits;
	return 0;
}
