/*
 * A task tells the policy that holds at the start of each of its mappings: of shared memory it may be one that was set
 * by another mapping. Which mapping has set one, and its home node, only the kernel's own structures tell. Without them
 * a policy of shared memory is refused, and whether there is a home node is not known. The restorer sets each policy
 * where it was set, before the mapping has contents.
 */
#include "mm/numa-policy.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "kernel/bpf-vmas.h"
#include "mm/map-flags.h"
#include "mm/mm-internal.h"
#include "mm/shared-memory.h"
#include "pie/parasite-border.h"

/* 5: MPOL_PREFERRED_MANY, Linux 5.15 */
#define CAN_HAVE_HOME_NODE (1u << MPOL_BIND | 1u << 5)

static bool has_any(const struct task *task, const struct parasite_mapping *mappings)
{
	for (size_t i = 0; i < task->maps.count; i++)
		if (mappings[i].policy > 0 || mappings[i].policy == -EINVAL)
			return true;
	return false;
}

static int refuse(const struct task *task, const struct proc_vma *vma, struct error *err, const char *reason)
{
	return error_say(err, -ENOTSUP, TASK_FORMAT ", mapping %llx-%llx %s: has a NUMA policy (mbind) %s",
			 TASK_ARGS(task), (unsigned long long)vma->start, (unsigned long long)vma->end,
			 proc_vma_path(&task->maps, vma), reason);
}

static const struct bpf_vma *find_known(const struct bpf_vma *known, size_t count, uint64_t start)
{
	for (size_t i = 0; i < count; i++)
		if (known[i].start == start)
			return &known[i];
	return NULL;
}

/* known: NULL where the kernel does not tell. */
static int take_policy(const struct task *task, struct area *area, const struct parasite_mapping *told,
		       const struct bpf_vma *known, VmaPolicyEntry *policy, struct error *err)
{
	const uint32_t mode = (uint32_t)told->policy & ~(uint32_t)MPOL_MODE_FLAGS;

	if (told->policy < 0)
		return refuse(task, area->vma, err, "with nodes of numbers above 63, which is not supported");
	area->has_others_policy = known && !known->policy;
	if (area->has_others_policy)
		return 0;
	if (!known && area->vma->inode) {
		error_hint(err, "run it with the right to run BPF programs");
		return refuse(task, area->vma, err, "of which cannot be told whether it or another mapping has set it");
	}
	if (!known && mode < 32 && 1u << mode & CAN_HAVE_HOME_NODE)
		log_warn(TASK_FORMAT
			 ", mapping %llx-%llx: its home node (set_mempolicy_home_node), if it has one, is lost",
			 TASK_ARGS(task), (unsigned long long)area->vma->start, (unsigned long long)area->vma->end);
	vma_policy_entry__init(policy);
	policy->mode = (uint32_t)told->policy;
	policy->has_nodes = told->nodes != 0;
	policy->nodes = told->nodes;
	policy->has_home_node = known && known->home_node != BPF_VMA_NO_NODE && 1u << mode & CAN_HAVE_HOME_NODE;
	policy->home_node = policy->has_home_node ? (uint32_t)known->home_node : 0;
	area->entry.policy = policy;
	return 0;
}

int numa_policies_take(struct dump *d, struct task *task, const struct parasite_mapping *mappings, struct error *err)
{
	struct task_memory *memory = task->memory;
	AUTO_BUFFER struct buffer output = { 0 };
	size_t at = 0, known_count = 0;
	bool is_known;

	if (!has_any(task, mappings))
		return 0;
	free(memory->policies);
	memory->policies = calloc(memory->area_count, sizeof(*memory->policies));
	if (!memory->policies)
		return error_set(err, -ENOMEM, TASK_FORMAT ": NUMA policies", TASK_ARGS(task));
	is_known = map_flags_list(d->map_flags, task, &output, &known_count) == 0;
	for (size_t i = 0; i < memory->area_count; i++) {
		struct area *area = &memory->areas[i];
		const struct bpf_vma *known = NULL;
		int r;

		area->entry.policy = NULL;
		while (area->vma && at < task->maps.count && task->maps.vmas[at].start < area->entry.start)
			at++;
		if (!area->vma || at == task->maps.count || task->maps.vmas[at].start != area->entry.start ||
		    (mappings[at].policy <= 0 && mappings[at].policy != -EINVAL))
			continue;
		if (is_known)
			known = find_known((const void *)output.data, known_count, area->entry.start);
		r = take_policy(task, area, &mappings[at], known, &memory->policies[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- of shared memory -------------------------------------------------------------------------------------------- */

static bool is_same_memory(const struct proc_vma *a, const struct proc_vma *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

/* Whether a mapping has set the policy that holds where the other one starts. */
static bool has_set_policy(const struct area *area, const struct proc_vma *vma)
{
	return area->vma && area->entry.policy && is_same_memory(area->vma, vma) && area->vma->offset <= vma->offset &&
	       vma->offset < area->vma->offset + (area->vma->end - area->vma->start);
}

static bool will_be_set(const struct dump *d, const struct proc_vma *vma)
{
	for_each_task (d, task)
		for (size_t i = 0; task->memory && i < task->memory->area_count; i++)
			if (has_set_policy(&task->memory->areas[i], vma))
				return true;
	return false;
}

int numa_policies_check(struct dump *d, struct error *err)
{
	for_each_task (d, task) {
		if (!task->memory || !task->memory->policies)
			continue;
		for (size_t i = 0; i < task->memory->area_count; i++) {
			const struct area *area = &task->memory->areas[i];

			/* A file that others can open keeps its own. */
			if (!area->has_others_policy || !is_shared_memory_vma(area->vma) || will_be_set(d, area->vma))
				continue;
			return refuse(task, area->vma, err, "that was set by somebody who does not map it any more");
		}
	}
	return 0;
}
