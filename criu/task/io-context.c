/*
 * Who has a context is known from the facts about a thread, or by kcmp(2) against a process that has none; who shares
 * one is told by kcmp. A process of ours may have one itself, inherited with a priority, or made by a scheduler for its
 * I/O: then those without one look alike to kcmp, and the kernel's own structures tell them apart. Where these cannot
 * be read only who has set a priority is sure to have a context.
 */
#include "task/io-context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/refusals.h"
#include "base/util.h"
#include "kernel/kcmp.h"
#include "kernel/kernel-memory.h"
#include "kernel/sched.h"
#include "kernel/thread-facts.h"
#include "task/task-look.h"

struct holder {
	const struct task *task;
	const struct task_thread *thread;
	bool is_sure; /* that it has a context */
};

struct holders {
	struct holder *items;
	size_t count, capacity;
};

static bool is_same(pid_t one, pid_t other)
{
	int order;

	return kcmp_object(KCMP_KIND_IO, one, other, &order) == 0 && order == 0;
}

/* False: it has none. Of plain_pid 0 nothing follows. */
static bool may_have_context(const struct task *task, const struct task_thread *thread, pid_t plain_pid, bool *ret_sure)
{
	*ret_sure = true;
	if (thread->facts)
		return thread->facts->io_context != 0;
	if (task->thread_facts)
		return task->thread_facts[thread - task->threads].likeness.io_context != 0;
	*ret_sure = thread->state->io_priority != 0 || plain_pid;
	return thread->state->io_priority || !plain_pid || !is_same(plain_pid, thread->tid);
}

static int find_holders(struct dump *d, pid_t plain_pid, struct holders *ret)
{
	for_each_task (d, task) {
		for (size_t i = 0; !task->is_zombie && task->state && i < task->thread_count; i++) {
			struct holder holder = { .task = task, .thread = &task->threads[i] };
			int r;

			if (!may_have_context(task, holder.thread, plain_pid, &holder.is_sure))
				continue;
			r = array_reserve(&ret->items, &ret->capacity, ret->count, sizeof(*ret->items));
			if (r < 0)
				return r;
			ret->items[ret->count++] = holder;
		}
	}
	return 0;
}

static int compare(const void *x, const void *y)
{
	const struct holder *a = x, *b = y;
	int order = 0;

	if (kcmp_object(KCMP_KIND_IO, a->thread->tid, b->thread->tid, &order) < 0 || !order)
		return (a->thread->tid > b->thread->tid) - (a->thread->tid < b->thread->tid);
	return order;
}

/* Two that are the same to kcmp may both have none. */
static bool has_context(struct dump *d, const struct holder *holder)
{
	struct kernel_memory *km;
	uint64_t context = 0, thread = 0;
	int r;

	if (holder->is_sure)
		return true;
	r = dump_kernel_memory(d, &km);
	if (r == 0)
		r = kernel_memory_thread(km, holder->task->pidfd, holder->thread->tid, &thread);
	if (r == 0)
		r = kernel_memory_member(km, thread, "task_struct", "io_context", &context, sizeof(context));
	return r == 0 && context;
}

static void refuse(struct dump *d, const struct holder *holder, pid_t other, const char *relation)
{
	const bool is_leader = holder->thread == holder->task->threads;
	struct error reason = { 0 };
	char own[32] = "";

	if (!is_leader)
		(void)snprintf(own, sizeof(own), ", thread %d", holder->thread->tid);
	(void)error_say(&reason, -ENOTSUP,
			TASK_FORMAT "%s: shares its I/O context with %s%d (CLONE_IO), which is not supported",
			TASK_ARGS(holder->task), own, relation, other);
	refusals_add(&d->refusals, &reason);
}

/* The younger one is named: mostly the other has made it. */
static void refuse_pair(struct dump *d, const struct holder *older, const struct holder *younger)
{
	const char *relation = older->task == younger->task           ? "thread "
			       : younger->task->parent == older->task ? "its parent, pid "
								      : "pid ";

	refuse(d, younger, older->thread->tid, relation);
}

static void look(struct dump *d, struct holders *holders)
{
	const struct task *root = d->tasks[0];

	if (holders->count)
		qsort(holders->items, holders->count, sizeof(*holders->items), compare);
	for (size_t i = 0; i < holders->count; i++) {
		const struct holder *holder = &holders->items[i];

		if (holder->task == root && root->stat.ppid > 0 && is_same(root->stat.ppid, holder->thread->tid) &&
		    has_context(d, holder))
			refuse(d, holder, root->stat.ppid, "its parent, pid ");
		if (i > 0 && is_same(holder[-1].thread->tid, holder->thread->tid) && has_context(d, holder))
			refuse_pair(d, &holder[-1], holder);
	}
}

int io_contexts_look(struct dump *d, pid_t plain_pid, struct error *err)
{
	struct holders holders = { 0 };
	int priority = 0, r;

	/* Whoever looks at a tree that runs on is not known to be plain. */
	if (d->is_live || ioprio_read(plain_pid, &priority) < 0 || priority)
		plain_pid = 0;
	r = find_holders(d, plain_pid, &holders);
	if (r == 0)
		look(d, &holders);
	free(holders.items);
	return r < 0 ? error_set(err, r, "find out who shares an I/O context") : 0;
}
