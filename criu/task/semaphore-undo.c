/*
 * No interface shows the list of adjustments. That a thread has one is known from the facts about it, or by kcmp(2)
 * against a process that has none; what stands in it is read from the kernel's own structures, for an adjustment is
 * kept with a value of 0 once the semaphore was given back. Where they cannot be read a list counts as one that
 * matters, but for that of a process with threads: the kernel gives one to each.
 */
#include "task/semaphore-undo.h"

#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "kernel/kcmp.h"
#include "kernel/kernel-memory.h"
#include "kernel/semaphore-list.h"
#include "kernel/task-facts.h"

static bool has_list(const struct task_thread *thread, pid_t plain_pid)
{
	int order = 0;

	if (thread->facts)
		return thread->facts->undo_list != 0;
	/* Without kcmp nothing can be known, without semaphores in the kernel there is nothing to be known. */
	return kcmp_object(KCMP_KIND_SYSVSEM, plain_pid, thread->tid, &order) == 0 && order != 0;
}

/* Where the facts are there, they name the list of each thread; mostly it is one for all. */
static int look_at_known_lists(struct kernel_memory *km, const struct task *task, const char *table,
			       struct semaphore_adjustment *ret)
{
	uint64_t last = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < task->thread_count && !ret->value; i++) {
		uint64_t list = task->threads[i].facts->undo_list;

		if (list && list != last)
			r = semaphore_list_look(km, list, table, ret);
		last = list;
	}
	return r;
}

static bool are_lists_known(const struct task *task)
{
	for (size_t i = 0; i < task->thread_count; i++)
		if (!task->threads[i].facts)
			return false;
	return true;
}

static int look_at_threads(struct kernel_memory *km, const struct task *task, const char *table,
			   struct semaphore_adjustment *ret)
{
	AUTO_FREE uint64_t *threads = NULL;
	uint64_t list = 0, last = 0;
	size_t count = 0;
	int r;

	if (are_lists_known(task))
		return look_at_known_lists(km, task, table, ret);
	r = kernel_memory_threads(km, task->pidfd, &threads, &count);
	for (size_t i = 0; r == 0 && i < count && !ret->value; i++) {
		r = semaphore_list_of_thread(km, threads[i], &list);
		if (r < 0 || !list || list == last)
			continue;
		r = semaphore_list_look(km, list, table, ret);
		last = list;
	}
	return r;
}

static int find_adjustment(struct dump *d, const struct task *task, struct semaphore_adjustment *ret)
{
	AUTO_BUFFER struct buffer table = { 0 };
	struct kernel_memory *km;
	int r = buffer_read_at(&table, task->procfd, "../sysvipc/sem");

	/* Every process that has made a thread has a list; mostly there is no set that it could be about. */
	if (r < 0 || !semaphore_table_has_sets(table.data))
		return r;
	r = dump_kernel_memory(d, &km);
	return r < 0 ? r : look_at_threads(km, task, table.data, ret);
}

int semaphore_undo_look(struct dump *d, const struct task *task, pid_t plain_pid, struct error *err)
{
	struct semaphore_adjustment found = { 0 };
	size_t i = 0;
	int r;

	while (i < task->thread_count && !has_list(&task->threads[i], plain_pid))
		i++;
	if (i == task->thread_count)
		return 0;
	r = find_adjustment(d, task, &found);
	if (r == 0 && !found.value)
		return 0;
	if (r < 0 && task->thread_count > 1) {
		log_warn(TASK_FORMAT
			 ": whether System V semaphores are adjusted when it ends (SEM_UNDO) cannot be told: %s",
			 TASK_ARGS(task), strerror(-r));
		return 0;
	}
	error_hint(err, "dump it while it holds no semaphore that it took with SEM_UNDO");
	if (r < 0)
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ": System V semaphores may have to be adjusted when it ends (SEM_UNDO), "
					     "which is not supported, and by how much cannot be read: %s",
				 TASK_ARGS(task), strerror(-r));
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ": semaphore %u of the System V set %d is adjusted by %d when it ends (SEM_UNDO), "
				     "which is not supported",
			 TASK_ARGS(task), found.semaphore, found.set, found.value);
}
