/* Resource limits, in the order of the RLIMIT_ numbers. */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "pie/parasite-border.h"
#include "task/core-save.h"

/* What was used is no state that can be set, and less than the limit's unit makes no difference. */
static void warn_of_used_time(const struct task *task)
{
	const uint64_t limit = task->parasite->limits[RLIMIT_CPU].current;
	const struct proc_stat *stat = &task->stat;
	const uint64_t used_s = (stat->user_ticks + stat->system_ticks) / (uint64_t)sysconf(_SC_CLK_TCK);

	if (limit != RLIM_INFINITY && used_s)
		log_warn(TASK_FORMAT
			 ": may use %llu seconds of processor time (RLIMIT_CPU); the %llu it has used count "
			 "anew at restore\n",
			 TASK_ARGS(task), (unsigned long long)limit, (unsigned long long)used_s);
}

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
	warn_of_used_time(task);
	tc->rlimits = limits;
	return 0;
}
