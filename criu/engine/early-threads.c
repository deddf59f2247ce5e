/*
 * The kernel notes which thread made a process: only that one finds it with __WNOTHREAD, and only its end is told by a
 * signal for the parent's death. So such a thread is started while its process is still in the engine's code, and makes
 * its children when the first thread says so. The C library knows nothing of it: it stands in the restorer blob
 * (pie/restorer-early.c), on the stack in the restore area that it has in the end, and there it is taken up later.
 *
 * The children begin where the first thread stands, with their copy of its stack and of what the C library keeps for
 * it; it waits meanwhile.
 */
#include "engine/early-threads.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "engine/restore.h"
#include "kernel/clone.h"
#include "mm/restore-area.h"
#include "pie/clone-border.h"
#include "task/caller.h"
#include "task/restore-limits.h"
#include "task/restore-loginuid.h"
#include "task/timer-slack.h"

#define CREATION_ATTEMPTS 2000  /* a millisecond apart, see restore-fork.c */
#define STACK_IN_USE      16384 /* by the calls between the first thread and its wait */

void early_threads_plan(const struct restore *r)
{
	for (size_t i = 1; i < r->task_count; i++) {
		const struct restore_task *task = r->tasks[i];
		struct restorer_task *parent = task->parent->restorer;

		if (parent && !task->vfork_parent && task->parent_thread > parent->early_count)
			parent->early_count = task->parent_thread;
	}
}

/* --- orders ------------------------------------------------------------------------------------------------------ */

static void wait_until_done(struct restorer_thread *thread, enum restorer_order order)
{
	uint32_t *word = &thread->order;

	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == (uint32_t)order)
		(void)syscall(SYS_futex, word, FUTEX_WAIT, order, NULL, NULL, 0);
}

static int64_t give_order(struct restorer_thread *thread, enum restorer_order order, uint64_t first, uint64_t second,
			  uint64_t third, uint64_t fourth)
{
	uint32_t *word = &thread->order;

	thread->order_arguments[0] = first;
	thread->order_arguments[1] = second;
	thread->order_arguments[2] = third;
	thread->order_arguments[3] = fourth;
	__atomic_store_n(word, order, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	wait_until_done(thread, order);
	return thread->order_result;
}

/* --- creation ---------------------------------------------------------------------------------------------------- */

static int start_one(const struct restore *r, struct restorer_thread *thread)
{
	const struct clone_record record = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
		.stack = thread->stack_top - RESTORER_THREAD_STACK_BYTES,
		.stack_bytes = RESTORER_THREAD_STACK_BYTES,
		.set_tid = (uint64_t)&thread->tid,
		.set_tid_count = 1,
	};
	long result;

	for (int attempt = 1;; attempt++) {
		result = CLONE_INTO_ADDRESS(&record, r->shared->entry, thread->task, thread);
		if (result != -EEXIST || attempt == CREATION_ATTEMPTS)
			return result < 0 ? (int)result : 0;
		(void)usleep(1000);
	}
}

static int give_birth_slack(const struct restore *r, const struct checked_thread *thread)
{
	return timer_slack_set(r->own_limits, timer_slack_of_thread_birth(r->own_limits, thread));
}

int early_threads_start(const struct restore *r, const struct restore_task *task, struct error *err)
{
	for (uint64_t i = 1; task->restorer && i <= task->restorer->early_count; i++) {
		struct restorer_thread *thread = &task->restorer->threads[i];
		int result = r->sets_slacks ? give_birth_slack(r, &task->image->threads[i]) : 0;

		if (result < 0)
			return error_set(err, result, "thread %d: set the timer slack that it goes back to",
					 thread->tid);
		result = start_one(r, thread);
		if (result == -EEXIST)
			error_hint(err, "the thread's id was taken while the tree was being restored");
		if (result < 0)
			return error_set(err, result, "create thread %d", thread->tid);
		/* It begins in the engine's code, which will not be there much longer. */
		wait_until_done(thread, ORDER_ARRIVE);
	}
	return 0;
}

bool early_threads_create(const struct restore_task *task)
{
	return task->parent_thread && task->creator == task->parent;
}

__attribute__((noinline)) pid_t early_thread_clone(const struct restore_task *task, const struct clone_request *request,
						   void (*begin)(void *argument), void *argument)
{
	const uint64_t tid_word = clone_own_tid_word();
	const uint64_t stack_top = ((uint64_t)__builtin_frame_address(0) - STACK_IN_USE) & ~15ull;
	const struct clone_record record = {
		.flags = request->flags | (tid_word ? CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID : 0),
		.child_tid = tid_word,
		.exit_signal = (uint64_t)request->exit_signal,
		/* There is more, but the kernel wants the top alone. */
		.stack = stack_top - RESTORER_THREAD_STACK_BYTES,
		.stack_bytes = RESTORER_THREAD_STACK_BYTES,
		.set_tid = (uint64_t)request->set_tid,
		.set_tid_count = request->set_tid_count,
	};

	return (pid_t)give_order(&task->creator->restorer->threads[task->parent_thread], ORDER_CLONE, (uint64_t)&record,
				 (uint64_t)begin, (uint64_t)argument, 0);
}

/* --- what only the thread itself can set ------------------------------------------------------------------------- */

struct early_caller {
	struct caller caller;
	struct restorer_thread *thread;
};

static int64_t call_by_thread(const struct caller *caller, long number, uint64_t first, uint64_t second, uint64_t third)
{
	const struct early_caller *early = container_of(caller, const struct early_caller, caller);

	return give_order(early->thread, ORDER_CALL, (uint64_t)number, first, second, third);
}

static struct early_caller caller_of(const struct restore_task *task, size_t index)
{
	struct restorer_thread *thread = &task->restorer->threads[index];

	return (struct early_caller){ { thread->tid, call_by_thread }, thread };
}

int early_thread_set_slack(const struct restore *r, const struct restore_task *task, uint64_t slack_ns)
{
	const struct early_caller early = caller_of(task->creator, task->parent_thread);

	return timer_slack_set_of(r->own_limits, &early.caller, slack_ns);
}

int early_threads_give_slack_back(const struct restore *r, const struct restore_task *task)
{
	int result = 0;

	for (size_t i = 1; result == 0 && task->restorer && i <= task->restorer->early_count; i++) {
		const struct early_caller early = caller_of(task, i);

		result = timer_slack_set_of(r->own_limits, &early.caller, r->own_limits->timer_slack_ns);
	}
	return result;
}

int early_threads_set_loginuid(const struct restore_task *task, struct error *err)
{
	int result = 0;

	for (size_t i = 1; result == 0 && i <= task->restorer->early_count; i++) {
		const struct early_caller early = caller_of(task, i);

		result = restore_loginuid_of_thread(task, &early.caller, err);
	}
	return result;
}
