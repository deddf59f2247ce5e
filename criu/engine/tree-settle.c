/* What becomes of a frozen tree: it goes on as it was, stays stopped, or ends. */
#include "engine/tree-settle.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/compel-error.h"
#include "engine/limit-room.h"
#include "engine/options.h"
#include "kernel/pidfd.h"
#include "kernel/proc-stat.h"
#include "task/ended-call.h"
#include "task/waiting-mask.h"

#define WAIT_RSS_BYTES  (128ul << 20)
#define DEATH_WAIT_MS   1000
#define THREAD_PAUSE_NS 200000         /* between two looks at a thread that is about to end */
#define STOP_WAIT_NS    10000000000ull /* how long tasks that were sent SIGSTOP may take */

/*
 * Of a stopped task a thread that ran for us has taken the SIGSTOP that was still waiting. While the stop lasts another
 * one waits like that one.
 */
static void send_stop_again(const struct task *task)
{
	const struct task_thread *leader = task->thread_count ? &task->threads[0] : NULL;

	if (leader && task->stop_signal && leader->status.sig_shared_pending & 1ull << (SIGSTOP - 1))
		(void)pidfd_send_signal_to(task->pidfd, SIGSTOP);
}

int tree_release(struct dump *d, struct error *err)
{
	int first = 0;

	for_each_task (d, task) {
		struct compel_error compel_err = { 0 };
		int r;

		if (!task->compel)
			continue;
		if (task->vfork_tid) {
			ended_calls_go_on(d, task);
			compel_leave(task->compel);
			continue;
		}
		waiting_masks_keep(task);
		r = compel_cure(task->compel, &compel_err);
		limit_room_give_back(d, task);
		ended_calls_go_on(d, task);
		send_stop_again(task);
		if (r == 0)
			r = compel_detach(task->compel, &compel_err);
		if (r < 0 && r != -ESRCH && first == 0)
			first = compel_error_pass(err, task, &compel_err, r);
	}
	return first;
}

/*
 * Killed tasks run no more, but the kernel takes its time to give their memory back. Small ones are waited for, so that
 * they are gone when we are; for those with hundreds of MiB nobody has to wait. Nor is anybody waited for without
 * limit: a filesystem whose server is silent can hold up the end of whoever has a file on it.
 */
static bool is_soon_gone(const struct task *task)
{
	return task->stat.rss_pages * PAGE_BYTES < WAIT_RSS_BYTES;
}

/* The end of a thread that we trace is ours to collect. One that is nobody's any more has ended. */
static bool has_ended(pid_t tid)
{
	int status;
	pid_t found;

	do
		found = waitpid(tid, &status, __WALL | WNOHANG);
	while (found > 0 && !WIFEXITED(status) && !WIFSIGNALED(status));
	return found != 0;
}

/* The pidfd tells at once of the end of whoever has no other threads, and of nobody else. */
static bool wait_dead(const struct task *task, uint64_t deadline_ns)
{
	struct pollfd end = { .fd = task->pidfd, .events = POLLIN };
	const struct timespec pause = { .tv_nsec = THREAD_PAUSE_NS };

	/* The leader is reported to its tracer last, when all its threads are gone. */
	for (size_t i = task->compel->thread_count; i-- > 0;)
		while (!has_ended(task->compel->threads[i].tid)) {
			if (now_ns() > deadline_ns)
				return false;
			(void)ppoll(&end, 1, &pause, NULL);
		}
	/* One that had ended before is nobody's tracee. */
	if (task->ended_leader)
		(void)poll(&end, 1, DEATH_WAIT_MS);
	return true;
}

void tree_kill(struct dump *d)
{
	for_each_task (d, task)
		if (!task->is_zombie && task->pidfd >= 0)
			(void)pidfd_send_signal_to(task->pidfd, SIGKILL);
	d->is_killed = true;
}

void tree_wait_killed(struct dump *d)
{
	const uint64_t deadline_ns = now_ns() + options_timeout_ns(d->opts);

	if (!d->is_killed)
		return;
	for_each_task (d, task)
		if (task->compel && is_soon_gone(task) && !wait_dead(task, deadline_ns))
			log_warn(TASK_FORMAT ": killed, but has not ended: its number is not free yet\n",
				 TASK_ARGS(task));
}

static bool is_thread_stopped(const struct task *task, const struct task_thread *thread)
{
	char path[64];
	struct proc_stat stat;

	(void)snprintf(path, sizeof(path), "task/%d/stat", thread->tid);
	return proc_stat_read(task->procfd, path, &stat) < 0 || strchr("TtZX", stat.state);
}

/* Each thread has to run once more to find the signal: whoever asked for stopped tasks is to find them so. */
static void wait_stopped(const struct dump *d)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 };
	const uint64_t deadline_ns = now_ns() + STOP_WAIT_NS;

	for_each_task (d, task)
		for (size_t i = 0; i < task->thread_count; i++)
			while (task->threads[i].tid != task->vfork_tid && !is_thread_stopped(task, &task->threads[i]) &&
			       now_ns() < deadline_ns)
				(void)nanosleep(&pause, NULL);
}

int tree_stop(struct dump *d, struct error *err)
{
	int r;

	for_each_task (d, task)
		if (!task->is_zombie && !task->stop_signal)
			(void)pidfd_send_signal_to(task->pidfd, SIGSTOP);
	r = tree_release(d, err);
	wait_stopped(d);
	return r;
}
