/* The kernel tells the cookie of any thread that may be traced. Where it knows none it is not asked a second time. */
#include "task/core-scheduling.h"

#include <errno.h>
#include <stdbool.h>

#include "base/refusals.h"
#include "kernel/sched.h"

/* 0, or that the kernel has no such groups. Threads that are like the first one have its cookie. */
static int look_at_task(const struct task *task, struct error *err)
{
	for (size_t i = 0; i < task->thread_count; i++) {
		const struct task_thread *thread = &task->threads[i];
		uint64_t cookie = 0;
		int r = thread->facts_own ? 0 : sched_read_core_cookie(thread->tid, &cookie);

		if (r == -EINVAL || r == -ENODEV)
			return r;
		if (r < 0)
			(void)error_set(err, r, TASK_FORMAT ", thread %d: read its core scheduling cookie",
					TASK_ARGS(task), thread->tid);
		else if (cookie)
			(void)error_say(err, -ENOTSUP,
					TASK_FORMAT
					", thread %d: is in a group of core scheduling, which is not supported",
					TASK_ARGS(task), thread->tid);
		if (r < 0 || cookie)
			return 0;
	}
	return 0;
}

void core_scheduling_look(struct dump *d)
{
	for_each_task (d, task) {
		struct error reason = { 0 };

		if (!task->is_zombie && look_at_task(task, &reason) < 0)
			return;
		if (error_is_set(&reason))
			refusals_add(&d->refusals, &reason);
	}
}
