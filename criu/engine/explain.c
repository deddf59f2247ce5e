#include "engine/explain.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/dump.h"
#include "engine/look.h"
#include "engine/tree.h"
#include "kernel/proc-stat.h"
#include "ns/time-ns.h"

/* A tree that runs changes while it is looked at: a look that found contradictions is worth another one. */
#define LOOKS 3

static bool has_vanished(const struct task *task)
{
	struct proc_stat stat;

	return proc_stat_read(task->procfd, "stat", &stat) < 0 || stat.state == 'Z' || stat.state == 'X';
}

static int look_tasks(struct dump *d, const struct look_own *own, struct error *err)
{
	for_each_task (d, task) {
		struct error reason = { 0 }, traced = { 0 };

		if (!task->is_zombie && tree_check_tracer(task, &traced) < 0)
			refusals_add(&d->refusals, &traced);
		if (look_task(d, own, task, &reason) == 0)
			continue;
		if (task->parent && has_vanished(task)) {
			task->is_zombie = true;
			continue;
		}
		*err = reason;
		return err->code;
	}
	return 0;
}

static int look_once(struct dump *d, struct error *err)
{
	struct memory_side memory = { 0 };
	struct look_own own = { 0 };
	int r = look_read_own(&own, err);

	if (r == 0)
		r = tree_collect(d, err);
	if (r == 0)
		r = tree_walk(d, err);
	if (r == 0) {
		look_sessions(d);
		r = look_tasks(d, &own, err);
	}
	if (r == 0)
		time_ns_look(d, &own.ns);
	if (r == 0)
		r = look_tree(d, &memory, false, err);
	(void)memory_side_finish(&memory, err);
	look_own_done(&own);
	return r;
}

static bool has_changed(int r)
{
	return r == -ENOENT || r == -ESRCH || r == -EBADF;
}

static int look(const struct options *opts, struct explanation *ret, struct error *err)
{
	struct dump d = { .opts = opts, .refusals = REFUSALS_INIT, .is_live = true };
	int r;

	d.refusals.is_quiet = true;
	r = look_once(&d, err);
	if (d.task_count)
		(void)strcpy(ret->comm, d.tasks[0]->comm);
	ret->task_count = d.task_count;
	ret->refusals = d.refusals;
	look_free(&d);
	tree_free(&d);
	return r;
}

int explain_tree(const struct options *opts, struct explanation *ret, struct error *err)
{
	for (int i = 1;; i++) {
		struct error own = { 0 };
		int r = look(opts, ret, &own);

		if (r < 0 && has_changed(r) && ret->task_count > 1 && i < LOOKS) {
			log_debug("the tree changed while it was looked at: %s", own.text);
			explanation_done(ret);
			continue;
		}
		if (r < 0)
			*err = own;
		return r;
	}
}

void explanation_done(struct explanation *explanation)
{
	refusals_done(&explanation->refusals);
}
