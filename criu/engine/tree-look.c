/*
 * The plan is that of a restore (engine/tree-plan.h), which touches nothing: it is made where something was left over
 * from a session or group that others have left or that has lost its leader, for everything else can be made again.
 * That a process takes orphans in, or wants a signal at its parent's end, is not known yet, and makes a difference to
 * the plan of very few trees; nor is planned for first threads that have ended.
 */
#include "engine/tree-look.h"

#include <errno.h>

#include "base/arena.h"
#include "base/key-index.h"
#include "base/log.h"
#include "engine/dump.h"
#include "engine/tree-plan.h"
#include "engine/tree-tasks.h"
#include "security/keyring.h"
#include "security/restore-keyring.h"

static bool has_own_session(const struct dump *d, const struct task *task)
{
	return task->stat.sid == task->host_pid ||
	       task->stat.sid == (task->parent ? task->parent : d->tasks[0])->stat.sid;
}

/* Its leader may live on in another group. */
static bool has_known_group(const struct dump *d, const struct task *task)
{
	const pid_t pgid = task->stat.pgid;

	return pgid == d->tasks[0]->stat.pgid ||
	       (pgid > 0 && tree_has(d, pgid) && d->tasks[d->task_by_pid[pgid] - 1]->stat.pgid == pgid);
}

static pid_t find_ended_session(const struct dump *d)
{
	const struct task *root = d->tasks[0];

	return d->opts->shell_job || root->stat.sid == root->host_pid ? 0 : root->stat.sid;
}

static bool is_worth_a_plan(const struct dump *d)
{
	bool is_simple = true;

	for_each_task (d, task) {
		if (task->ended_leader)
			return false;
		is_simple = is_simple && has_own_session(d, task) && has_known_group(d, task);
	}
	return !is_simple;
}

static size_t thread_of_parent(const struct task *task)
{
	const struct task *parent = task->parent;

	for (size_t i = 0; parent && i < parent->thread_count; i++)
		if (parent->threads[i].tid == task->maker_tid)
			return i;
	return 0;
}

/* They stand in the order in which the image set has them. */
static int add_tasks(const struct dump *d, struct restore *r, struct error *err)
{
	AUTO_KEY_INDEX struct key_index places = { 0 };

	for_each_task (d, task) {
		struct restore_task *planned = tree_plan_new_task(r, err);

		if (!planned || key_index_add(&places, (uint64_t)task->host_pid, planned->index) < 0)
			return error_set(err, -ENOMEM, "process tree");
		planned->pid = task->host_pid;
		planned->pgid = task->stat.pgid;
		planned->sid = task->stat.sid;
		planned->is_zombie = task->is_zombie;
		planned->exit_signal = task->stat.exit_signal;
		planned->parent_thread = thread_of_parent(task);
		if (task->parent)
			planned->parent = r->tasks[key_index_place(
			    &places, key_index_first(&places, (uint64_t)task->parent->host_pid))];
	}
	return 0;
}

static void warn_of_places(const struct dump *d, const struct restore *r)
{
	const struct restore_task *first = NULL;
	size_t count = 0;

	for (size_t i = d->task_count; i-- > 0;)
		if (r->tasks[i]->may_lose_place) {
			first = r->tasks[i];
			count++;
		}
	if (first)
		log_warn(
		    TASK_FORMAT
		    ": its place among the %zu children of its parent, pid %d, in which wait(2) finds them, may be "
		    "another one after a restore%s",
		    TASK_ARGS(d->tasks[first->index]), first->parent->child_count, first->parent->pid,
		    count > 1 ? ", and so may those of others" : "");
}

int tree_look(const struct dump *d, struct error *err)
{
	struct restore r = { .ended_session = find_ended_session(d) };
	int result;

	if (!is_worth_a_plan(d))
		return 0;
	result = add_tasks(d, &r, err);
	if (result == 0)
		result = tree_plan_make(&r, NULL, err);
	if (result == 0)
		warn_of_places(d, &r);
	else
		error_prefix(err, TASK_FORMAT ": its tree cannot be made again", TASK_ARGS(d->tasks[0]));
	tree_plan_free(&r);
	return result;
}

static int plan_keyrings(const struct dump *d, struct restore *r, struct error *err)
{
	AUTO_ARENA struct arena arena = { 0 };
	int result;

	for (size_t i = 0; i < d->task_count; i++)
		if (!d->tasks[i]->is_zombie)
			r->tasks[i]->keyring_entry = keyring_make_session_entry(d, d->tasks[i], &arena);
	result = restore_keyrings_plan(r, 0, err);
	restore_keyrings_free(r);
	return result;
}

int tree_look_at_keyrings(const struct dump *d, struct error *err)
{
	struct restore r = { .ended_session = find_ended_session(d) };
	struct error unplanned = { 0 };
	int result;

	if (!keyrings_differ(d))
		return 0;
	for_each_task (d, task)
		if (task->ended_leader)
			return 0;
	result = add_tasks(d, &r, err);
	if (result == 0 && tree_plan_make(&r, NULL, &unplanned) == 0)
		result = plan_keyrings(d, &r, err);
	tree_plan_free(&r);
	return result;
}
