/*
 * Timers expire while a task stands still: a signal that comes between the look stage and the moment in which the task
 * tells of its timers belongs to what it tells, one that comes later does not, for the timer will send it once more.
 */
#include "task/late-signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "pie/parasite-border.h"
#include "task/task-look.h"

static bool is_told_by_timer(const struct task *task, pid_t tid)
{
	for (size_t i = 0; i < task->state->timer_count; i++)
		if (task->state->timers[i].notify & SIGEV_THREAD_ID && task->state->timers[i].notify_pid == tid)
			return true;
	return false;
}

/* A signal that waits already does not tell that another one of its number came: with POSIX timers it is looked. */
bool late_signals_are_possible(const struct task *task)
{
	const struct proc_status *known = &task->threads[0].status;

	return task->state->timer_count > 0 ||
	       task->parasite->pending & ~(known->sig_pending | known->sig_shared_pending);
}

static bool has_signal(const struct siginfo_queue *queue, const uint8_t *info)
{
	for (size_t i = 0; i < queue->count; i++)
		if (memcmp(queue->infos[i], info, SIGINFO_BYTES) == 0)
			return true;
	return false;
}

/* In place: without those that timers will send once more, by what is saved of them. */
static void drop_repeated(const struct task *task, const struct siginfo_queue *before, struct siginfo_queue *queue)
{
	size_t kept = 0;

	for (size_t i = 0; i < queue->count; i++)
		if (has_signal(before, queue->infos[i]) || !timers_send_again(task, queue->infos[i]))
			memmove(queue->infos[kept++], queue->infos[i], SIGINFO_BYTES);
	queue->count = kept;
}

static int look_again(const struct task *task, pid_t tid, bool shared, uint64_t pending, struct siginfo_queue *known)
{
	struct siginfo_queue now = { 0 };
	int r = pending ? ptrace_read_siginfo_queue(tid, shared, &now) : 0;

	if (r == 0)
		r = siginfo_queue_add_bare(&now, pending);
	if (r < 0) {
		siginfo_queue_done(&now);
		return r;
	}
	drop_repeated(task, known, &now);
	siginfo_queue_done(known);
	*known = now;
	return 0;
}

static int look_at_signals_of(struct task *task, size_t i)
{
	struct task_thread *thread = &task->threads[i];
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	char path[48];
	int r;

	(void)snprintf(path, sizeof(path), "task/%d/status", thread->tid);
	r = proc_status_read(task->procfd, path, &status);
	if (r == 0)
		r = look_again(task, thread->tid, false, status.sig_pending, &thread->state->signals);
	if (r == 0 && i == 0)
		r = look_again(task, thread->tid, true, status.sig_shared_pending, &task->state->signals);
	return r;
}

int late_signals_look(struct task *task, struct error *err)
{
	for (size_t i = 0; i < task->thread_count; i++) {
		int r = i == 0 || is_told_by_timer(task, task->threads[i].tid) ? look_at_signals_of(task, i) : 0;

		if (r < 0)
			return error_set(err, r, TASK_FORMAT ", thread %d: read its pending signals", TASK_ARGS(task),
					 task->threads[i].tid);
	}
	return 0;
}
