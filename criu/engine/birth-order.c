/*
 * Each list of children becomes a chain; then the creation of the tree is played through, with everything that anybody
 * waits for on the way (engine/restore-fork.c), to see that it comes to an end. Only trees with siblings or orphans
 * that others create can fail in that.
 */
#include "engine/birth-order.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Comes to its parent by the end of the go-between that creates it. */
static bool is_orphan(const struct restore_task *task)
{
	return task->creator && task->creator->go_between;
}

static bool is_by_parent(const struct restore_task *task)
{
	return task->creator == task->parent;
}

/* --- chains ------------------------------------------------------------------------------------------------------ */

static void append(struct restore_task **last, struct restore_task *child)
{
	child->older = *last;
	*last = child;
}

/* Behind the last one that is created before setsid() only the parent's other children follow. */
static size_t count_early(const struct restore_task *parent)
{
	for (size_t i = parent->child_count; i-- > 0;)
		if (is_by_parent(parent->children[i]) && parent->children[i]->before_setsid)
			return i + 1;
	return 0;
}

static bool is_early(const struct restore_task *child)
{
	if (is_by_parent(child))
		return child->before_setsid;
	return child->as_sibling && !child->creator->is_helper && child->creator->before_setsid;
}

/* It waits for those before it; they must not wait for its creator. */
static bool has_place(const struct restore_task *child, const char *is_placed)
{
	return !child->as_sibling || child->creator->is_helper || is_placed[child->creator->index];
}

static size_t count_parent_threads(const struct restore_task *parent)
{
	size_t last = 0;

	for (size_t i = 0; i < parent->child_count; i++)
		if (parent->children[i]->parent_thread > last)
			last = parent->children[i]->parent_thread;
	return last + 1;
}

/* Each thread of the parent has a list of its own. */
static int make_chain(const struct restore_task *parent, char *is_placed, bool with_orphans)
{
	AUTO_FREE struct restore_task **last = calloc(count_parent_threads(parent), sizeof(*last));
	size_t early = count_early(parent);

	if (!last)
		return -ENOMEM;

	for (int pass = early ? 0 : 1; pass < 2; pass++)
		for (size_t i = 0; i < (pass ? parent->child_count : early); i++) {
			struct restore_task *child = parent->children[i];

			if ((i < early && is_early(child)) != (pass == 0) || (is_orphan(child) && !with_orphans) ||
			    !has_place(child, is_placed))
				continue;
			append(&last[child->parent_thread], child);
			is_placed[child->index] = 1;
		}
	return 0;
}

static int make_chains(struct restore *r, bool with_orphans, struct error *err)
{
	AUTO_FREE char *is_placed = calloc(r->task_count, 1);
	int result = is_placed ? 0 : -ENOMEM;

	for (size_t i = 0; i < r->task_count; i++)
		r->tasks[i]->older = NULL;
	for (size_t i = 0; result == 0 && i < r->task_count; i++)
		if (r->tasks[i]->child_count)
			result = make_chain(r->tasks[i], is_placed, with_orphans);
	return result < 0 ? error_set(err, result, "process tree") : 0;
}

/* --- does it end? ------------------------------------------------------------------------------------------------ */

struct walker {
	size_t next;      /* in the list of created */
	uint32_t passing; /* orphans that it has to let pass yet */
	bool is_born, is_placed, takes_orphans, is_done;
};

static bool is_placed(const struct walker *walkers, const struct restore_task *task)
{
	return !task || walkers[task->index].is_placed;
}

static void bury(struct walker *walkers, const struct restore_task *between)
{
	for (size_t i = 0; i < between->created_count; i++)
		walkers[between->created[i]->index].is_placed = true;
	for (const struct restore_task *at = between->parent; at && at != between->orphan_target; at = at->parent)
		if (walkers[at->index].passing)
			walkers[at->index].passing--;
}

/* Through what it creates, as far as it can. True when all of it is there. */
static bool walk_created(struct walker *walkers, const struct restore_task *task)
{
	struct walker *walker = &walkers[task->index];

	for (; walker->next < task->created_count; walker->next++) {
		const struct restore_task *next = task->created[walker->next];
		struct walker *created = &walkers[next->index];

		if (!created->is_born && !is_orphan(next) && !is_placed(walkers, next->older))
			return false;
		created->is_born = true;
		created->is_placed = created->is_placed || !is_orphan(next);
		if (next->go_between && !created->is_done)
			return false;
		if (next->go_between)
			bury(walkers, next);
	}
	return true;
}

static bool can_end(const struct walker *walkers, const struct restore_task *between)
{
	if (between->orphan_target->subreaper_meanwhile && !walkers[between->orphan_target->index].takes_orphans)
		return false;
	for (size_t i = 0; i < between->created_count; i++)
		if (!is_placed(walkers, between->created[i]->older))
			return false;
	return true;
}

static void walk(struct walker *walkers, const struct restore_task *task)
{
	struct walker *walker = &walkers[task->index];

	if (!walker->is_born || walker->is_done || (is_orphan(task) && !walker->is_placed))
		return;
	walker->takes_orphans = walker->takes_orphans || !task->passing_orphans;
	if (!walk_created(walkers, task) || walker->passing)
		return;
	walker->takes_orphans = true;
	walker->is_done = !task->go_between || can_end(walkers, task);
}

static size_t count_done(const struct walker *walkers, size_t count)
{
	size_t done = 0;

	for (size_t i = 0; i < count; i++)
		done += walkers[i].is_done + walkers[i].next + walkers[i].takes_orphans + walkers[i].is_born;
	return done;
}

/* 1 when everybody comes to an end. */
static int comes_to_an_end(const struct restore *r, struct error *err)
{
	AUTO_FREE struct walker *walkers = calloc(r->task_count, sizeof(*walkers));
	size_t before, after = 0;

	if (!walkers)
		return error_set(err, -ENOMEM, "process tree");
	for (size_t i = 0; i < r->task_count; i++)
		walkers[i].passing = r->tasks[i]->passing_orphans;
	walkers[0].is_born = walkers[0].is_placed = true;
	do {
		before = after;
		for (size_t i = 0; i < r->task_count; i++)
			walk(walkers, r->tasks[i]);
		after = count_done(walkers, r->task_count);
	} while (after != before);
	for (size_t i = 0; i < r->task_count; i++)
		if (!walkers[i].is_done)
			return 0;
	return 1;
}

static bool is_simple(const struct restore *r)
{
	for (size_t i = 1; i < r->task_count; i++)
		if (r->tasks[i]->as_sibling || r->tasks[i]->go_between)
			return false;
	return true;
}

static int make_order(struct restore *r, struct error *err)
{
	int result = make_chains(r, true, err);

	if (result < 0 || is_simple(r))
		return result;
	result = comes_to_an_end(r, err);
	if (result != 0)
		return result < 0 ? result : 0;
	log_debug("plan: orphans come to their parents in any order\n");
	result = make_chains(r, false, err);
	if (result == 0)
		result = comes_to_an_end(r, err);
	if (result != 0)
		return result < 0 ? result : 0;
	log_debug("plan: children come to their parents in any order\n");
	for (size_t i = 0; i < r->task_count; i++)
		r->tasks[i]->older = NULL;
	return 0;
}

/* Who does not come right behind the one before it. */
static int note_places(struct restore *r, struct error *err)
{
	for (size_t i = 0; i < r->task_count; i++) {
		const struct restore_task *parent = r->tasks[i];
		AUTO_FREE struct restore_task **last = NULL;

		if (parent->child_count < 2)
			continue;
		last = calloc(count_parent_threads(parent), sizeof(*last));
		if (!last)
			return error_set(err, -ENOMEM, "process tree");
		for (size_t k = 0; k < parent->child_count; k++) {
			struct restore_task *child = parent->children[k], *before = last[child->parent_thread];

			child->may_lose_place = before && child->older != before;
			last[child->parent_thread] = child;
		}
	}
	return 0;
}

int birth_order_make(struct restore *r, struct error *err)
{
	int result = make_order(r, err);

	return result < 0 ? result : note_places(r, err);
}
