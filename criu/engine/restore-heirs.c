/*
 * Most processes of a wide tree were forked from their parent and have kept what they got from it: files, directories,
 * session, group. Such an heir does not go through the engine's code: the restorer blob of its creator creates it when
 * the creator's files are complete and nothing but the restore area is mapped any more. That fork has no memory to
 * copy, and the heir none to throw away, which is most of what a process costs otherwise.
 *
 * Heirs come behind all others, so those that are older than a sibling that is none are none either
 * (engine/birth-order.h). An heir creates nobody but heirs. A creator that others wait for, or that waits for others
 * before it enters the blob, has none, and neither has a tree with files that need all processes.
 */
#include "engine/restore-heirs.h"

#include <errno.h>

#include "base/log.h"
#include "engine/restore.h"
#include "files/heirs.h"
#include "mm/restore-area.h"
#include "mm/restore-memory.h"
#include "security/restore-keyring.h"
#include "task/restore-limits.h"
#include "task/restore-loginuid.h"
#include "task/timer-slack.h"

/* Helpers and users of one table wait until everybody is there. */
static bool can_bequeath(const struct restore_task *creator)
{
	if (!creator->restorer || creator->restorer->table_users)
		return false;
	for (size_t i = 0; i < creator->created_count; i++)
		if (creator->created[i]->is_helper)
			return false;
	return true;
}

static bool creates_heirs_only(const struct restore_task *task)
{
	for (size_t i = 0; i < task->created_count; i++)
		if (!task->created[i]->is_heir)
			return false;
	return true;
}

static bool has_same_place_in_tree(const struct restore_task *task, const struct restore_task *creator)
{
	return creator == task->parent && !task->parent_thread && task->sid == creator->sid &&
	       task->pgid == creator->pgid && !task->make_session && !task->make_group && !task->is_waited_for &&
	       !task->subreaper_meanwhile && !task->has_continued;
}

static bool can_be_heir(const struct restore *r, const struct restore_task *task)
{
	const struct restore_task *creator = task->creator;

	return task->restorer && !task->vfork_parent && !task->restorer->table_users && !task->owns_shared_files &&
	       creator && has_same_place_in_tree(task, creator) && can_bequeath(creator) && creates_heirs_only(task) &&
	       restore_loginuid_is_same(task, creator) && restore_keyring_is_same(task, creator) &&
	       timer_slack_of_birth(r->own_limits, task) == r->own_limits->timer_slack_ns &&
	       files_can_inherit(r, task, creator) && restore_memory_can_inherit(r, task, creator);
}

/* From the last to the first: children come behind their parents, and younger siblings are met first. */
static size_t find_heirs(struct restore *r)
{
	size_t count = 0;

	for (size_t i = r->task_count; i-- > 1;) {
		struct restore_task *task = r->tasks[i], *parent = task->parent;

		task->is_heir = !parent->has_younger_other && can_be_heir(r, task);
		if (!task->parent_thread)
			parent->has_younger_other = !task->is_heir;
		count += task->is_heir;
	}
	return count;
}

static int list_heirs(struct restore *r, struct restore_task *creator, struct error *err)
{
	struct restorer_task *restorer = creator->restorer;

	for (size_t i = 0; i < creator->created_count; i++) {
		struct restore_task *heir = creator->created[i];

		if (!heir->is_heir)
			continue;
		if (!restorer->heirs)
			restorer->heirs = area_alloc(r, creator->created_count * sizeof(*restorer->heirs));
		if (!restorer->heirs)
			return error_set(err, -ENOMEM, "restore area");
		restorer->heirs[restorer->heir_count++] = heir->restorer;
		heir->restorer->exit_signal = heir->exit_signal;
		restore_memory_inherit(r, heir, creator);
	}
	return 0;
}

int restore_plan_heirs(struct restore *r, struct error *err)
{
	uint32_t count;
	int result = 0;

	if (r->files_need_all)
		return 0;
	count = (uint32_t)find_heirs(r);
	for (size_t i = 0; count && result == 0 && i < r->task_count; i++)
		result = list_heirs(r, r->tasks[i], err);
	r->shared->words.forking -= count;
	r->shared->words.installing -= count;
	log_debug("plan: %u of %zu processes are created by the restorer of their parent\n", count, r->task_count);
	return result;
}
