/*
 * Scheduling of a thread: policy, nice value and priority; in fields of our own the processors it may use, its I/O
 * priority, deadline parameters and utilisation clamps, timer slack and NUMA policy.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "task/core-save.h"
#include "task/task-look.h"
#include "task/timer-slack.h"
#include "pie/parasite-border.h"

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

static uint64_t default_slice_ns; /* 0: this kernel has none, or ours is not a fair policy */

static void read_default_slice(void)
{
	struct sched_attributes own;

	if (sched_read_attributes(0, &own) == 0 && (own.policy == SCHED_OTHER || own.policy == SCHED_BATCH))
		default_slice_ns = own.runtime_ns;
}

/* The kernel does not tell a slice that was asked for from its default: what differs from ours was. */
static bool has_own_slice(const struct sched_attributes *sched)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (sched->policy != SCHED_OTHER && sched->policy != SCHED_BATCH)
		return false;
	(void)pthread_once(&once, read_default_slice);
	return default_slice_ns && sched->runtime_ns && sched->runtime_ns != default_slice_ns;
}

void sched_save_policy(const struct sched_attributes *sched, ThreadCoreEntry *tc)
{
	tc->has_sched_nice = true;
	tc->sched_nice = sched->nice;
	tc->has_sched_policy = true;
	tc->sched_policy = sched->policy;
	if (sched->policy == SCHED_FIFO || sched->policy == SCHED_RR) {
		tc->has_sched_prio = true;
		tc->sched_prio = sched->priority;
	}
	if (sched->flags) {
		tc->has_sched_flags = true;
		tc->sched_flags = sched->flags;
	}
	if (has_own_slice(sched)) {
		tc->has_sched_runtime = true;
		tc->sched_runtime = sched->runtime_ns;
	}
	if (sched->policy == SCHED_DEADLINE) {
		tc->has_sched_runtime = tc->has_sched_deadline = tc->has_sched_period = true;
		tc->sched_runtime = sched->runtime_ns;
		tc->sched_deadline = sched->deadline_ns;
		tc->sched_period = sched->period_ns;
	}
	if (sched->has_util_clamp && (sched->util_min != 0 || sched->util_max != 1024)) {
		tc->has_sched_util_min = tc->has_sched_util_max = true;
		tc->sched_util_min = sched->util_min;
		tc->sched_util_max = sched->util_max;
	}
}

static int save_mempolicy(const struct parasite_thread *told, ThreadCoreEntry *tc, struct arena *arena)
{
	MempolicyEntry *entry;
	size_t words = sizeof(told->mempolicy_nodes) / sizeof(told->mempolicy_nodes[0]);

	if (told->mempolicy_result < 0 || told->mempolicy_mode == 0)
		return 0;
	entry = arena_alloc(arena, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	mempolicy_entry__init(entry);
	entry->mode = (uint32_t)told->mempolicy_mode;
	while (words && !told->mempolicy_nodes[words - 1])
		words--;
	if (words) {
		entry->has_nodemask = true;
		entry->nodemask.len = words * sizeof(uint64_t);
		entry->nodemask.data = arena_memdup(arena, told->mempolicy_nodes, entry->nodemask.len);
		if (!entry->nodemask.data)
			return -ENOMEM;
	}
	tc->mempolicy = entry;
	return 0;
}

int sched_save(const struct task_thread *thread, ThreadCoreEntry *tc, struct arena *arena)
{
	const struct thread_state *state = thread->state;

	sched_save_policy(&state->sched, tc);
	tc->has_cpu_affinity = true;
	tc->cpu_affinity.data = (uint8_t *)state->affinity;
	tc->cpu_affinity.len = state->affinity_words * sizeof(*state->affinity);
	if (state->io_priority) {
		tc->has_io_prio = true;
		tc->io_prio = (uint32_t)state->io_priority;
	}
	timer_slack_save(thread, tc);
	return save_mempolicy(thread->parasite, tc, arena);
}
