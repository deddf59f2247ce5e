#include "engine/look.h"

#include <errno.h>
#include <string.h>

#include "cgroups/cgroup-look.h"
#include "engine/tree.h"
#include "files/files.h"
#include "kernel/kcmp.h"
#include "mm/mm.h"
#include "mm/shared-memory.h"
#include "security/lsm.h"
#include "task/task-look.h"

int look_read_own(struct look_own *ret_own, struct error *err)
{
	int r = ns_read_own(&ret_own->ns, err);

	return r < 0 ? r : cgroup_read_own(&ret_own->cgroups, err);
}

void look_own_done(struct look_own *own)
{
	buffer_done(&own->cgroups);
}

/* Notes what a step said, and lets the next one have its say. */
static void gather(struct dump *d, int r, const struct error *reason)
{
	if (r < 0)
		refusals_add(&d->refusals, reason);
}

void look_sessions(struct dump *d)
{
	struct error reason = { 0 };

	gather(d, tree_check_sessions(d, &reason), &reason);
}

int look_task(struct dump *d, const struct look_own *own, struct task *task, struct error *err)
{
	struct error ns = { 0 }, cgroup = { 0 }, lsm = { 0 };

	if (task->is_zombie)
		return 0;
	gather(d, ns_look(&own->ns, task, &ns), &ns);
	gather(d, cgroup_look(d->opts, &own->cgroups, task, &cgroup), &cgroup);
	gather(d, lsm_look(task, &lsm), &lsm);
	return task_look(d, task, err);
}

/* Sharing that clone(2) makes and the image format cannot express. */
static int check_sharing(const struct task *task, struct error *err)
{
	const struct task *parent = task->parent;
	int order;

	if (!parent || parent->is_zombie)
		return 0;
	if (kcmp_object(KCMP_KIND_VM, parent->host_pid, task->host_pid, &order) == 0 && order == 0)
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ": shares its memory with its parent, pid %d (vfork or CLONE_VM)",
				 TASK_ARGS(task), parent->host_pid);
	if (kcmp_object(KCMP_KIND_FS, parent->host_pid, task->host_pid, &order) == 0 && order == 0)
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ": shares its working directory with its parent, pid %d (CLONE_FS)",
				 TASK_ARGS(task), parent->host_pid);
	return 0;
}

int look_tree(struct dump *d, struct error *err)
{
	uint32_t next_id = 2;
	int r = files_look(d, err);

	for (size_t i = 0; i < d->task_count && r == 0; i++) {
		struct error sharing = { 0 }, traced = { 0 };
		struct task *task = d->tasks[i];

		if (task->is_zombie)
			continue;
		gather(d, check_sharing(task, &sharing), &sharing);
		if (!d->is_live)
			gather(d, task_look_traced(d, task, &traced), &traced);
		r = mm_look(d, task, err);
		task->vm_id = task->fs_id = task->sighand_id = next_id++;
	}
	return r;
}

void look_free(struct dump *d)
{
	for_each_task (d, task) {
		task_look_free(task);
		mm_free(task);
	}
	files_free(d);
	shared_memory_free(d);
}
