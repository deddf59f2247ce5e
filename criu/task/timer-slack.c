#include "task/timer-slack.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/dump.h"
#include "engine/restore.h"
#include "engine/undo.h"
#include "kernel/kernel-memory.h"
#include "kernel/mount-view.h"
#include "kernel/proc-misc.h"
#include "kernel/sched.h"
#include "kernel/task-facts.h"
#include "pie/parasite-border.h"
#include "task/caller.h"
#include "task/restore-limits.h"
#include "task/task-look.h"

#define GIVE_BACK_TRIES    10
#define USUAL_SLACK_NS     50000 /* that of the first process */
#define RESET_ON_FORK_FLAG 1     /* SCHED_FLAG_RESET_ON_FORK */

/* --- dump -------------------------------------------------------------------------------------------------------- */

/* The tree may watch its own /proc (fanotify), where nothing has happened for it. */
static int open_unseen(struct dump *d, pid_t tid)
{
	if (!d->proc_view)
		d->proc_view = mount_view_unwatched("/proc");
	return d->proc_view < 0 ? proc_open_timer_slack(tid) : proc_open_timer_slack_in(d->proc_view, tid);
}

/* What fails once may do the next time; what the rescuer would have to do is still noted when it does not. */
static bool give_back(int fd, uint64_t own)
{
	int r = -EINTR;

	for (int i = 0; r < 0 && i < GIVE_BACK_TRIES; i++)
		r = proc_write_timer_slack(fd, own);
	return r == 0;
}

/* A real-time thread has none to be changed: -EINVAL. */
static int ask_by_changing(struct dump *d, pid_t tid, uint64_t *ret)
{
	AUTO_CLOSE int fd = open_unseen(d, tid);
	uint64_t own = 0;
	int r = fd < 0 ? fd : proc_read_timer_slack(fd, &own);

	if (r < 0 || !own)
		return r < 0 ? r : -EINVAL;
	undo_note_slack(d->undo, tid, own);
	r = proc_write_timer_slack(fd, 0);
	if (r == 0)
		r = proc_read_timer_slack(fd, ret);
	if (give_back(fd, own))
		undo_forget_slack(d->undo);
	else
		log_error("thread %d keeps another timer slack", tid);
	return r;
}

static int ask_kernel(struct dump *d, const struct task *task, pid_t tid, uint64_t *ret)
{
	struct kernel_memory *km;
	uint64_t address = 0;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = kernel_memory_thread(km, task->pidfd, tid, &address);
	return r < 0 ? r : KERNEL_MEMBER(km, address, "task_struct", "default_timer_slack_ns", ret);
}

static void look_at_thread(struct dump *d, const struct task *task, struct task_thread *thread)
{
	uint64_t *slack = &thread->state->default_slack_ns;
	int r = 0;

	if (thread->facts)
		*slack = thread->facts->default_timer_slack_ns;
	else
		r = ask_by_changing(d, thread->tid, slack);
	if (r == -EINVAL)
		r = ask_kernel(d, task, thread->tid, slack);
	thread->state->default_slack_result = r;
	thread->state->was_asked_default_slack = true;
}

void timer_slack_look(struct dump *d)
{
	for_each_task (d, task)
		for (size_t i = 0; !task->is_zombie && task->state && i < task->thread_count; i++)
			look_at_thread(d, task, &task->threads[i]);
}

void timer_slack_save(const struct task_thread *thread, ThreadCoreEntry *tc)
{
	const struct thread_state *state = thread->state;
	const int64_t own = thread->parasite->timer_slack_ns;

	if (own > 0) {
		tc->has_timer_slack_ns = true;
		tc->timer_slack_ns = (uint64_t)own;
	}
	if (!state->was_asked_default_slack)
		return;
	tc->has_default_timer_slack_ns = state->default_slack_result == 0;
	tc->default_timer_slack_ns = state->default_slack_ns;
	if (state->default_slack_result < 0 && own != USUAL_SLACK_NS)
		log_warn("thread %d: which timer slack it goes back to with PR_SET_TIMERSLACK 0 cannot be told: %s",
			 thread->tid, strerror(-state->default_slack_result));
}

/* --- restore ----------------------------------------------------------------------------------------------------- */

static bool is_usual(const struct own_limits *own, const ThreadCoreEntry *core)
{
	return !core || ((!core->has_timer_slack_ns || core->timer_slack_ns == own->timer_slack_ns) &&
			 (!core->has_default_timer_slack_ns || core->default_timer_slack_ns == own->timer_slack_ns));
}

/* It can have no other slack, and what it creates has none. */
static void warn_real_time(const struct own_limits *own)
{
	if (!own->timer_slack_ns)
		log_warn("a restore under a real-time policy sets no timer slacks\n");
}

bool timer_slack_is_needed(const struct own_limits *own, const struct checked_set *set)
{
	for (size_t i = 0; i < set->task_count; i++)
		for (size_t k = 0; k < set->tasks[i].thread_count; k++)
			if (!is_usual(own, set->tasks[i].threads[k].core->thread_core)) {
				warn_real_time(own);
				return true;
			}
	return false;
}

uint64_t timer_slack_of_thread_birth(const struct own_limits *own, const struct checked_thread *thread)
{
	const ThreadCoreEntry *core = thread->core->thread_core;

	return core && core->has_default_timer_slack_ns ? core->default_timer_slack_ns : own->timer_slack_ns;
}

uint64_t timer_slack_of_birth(const struct own_limits *own, const struct restore_task *task)
{
	return task->image ? timer_slack_of_thread_birth(own, &task->image->threads[0]) : own->timer_slack_ns;
}

/* The C library would give 32 bits of it. */
uint64_t timer_slack_own(void)
{
	return (uint64_t)syscall(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
}

static int become_real_time(bool is_one, const struct own_limits *own, pid_t tid)
{
	const struct sched_attributes real_time = { .policy = SCHED_FIFO, .priority = 1, .flags = RESET_ON_FORK_FLAG };

	return sched_write_attributes(tid, is_one ? &real_time : &own->sched);
}

int timer_slack_set_of(const struct own_limits *own, const struct caller *thread, uint64_t slack_ns)
{
	const int64_t now = thread->call(thread, SYS_prctl, PR_GET_TIMERSLACK, 0, 0);
	int r = 0;

	if ((uint64_t)now == slack_ns)
		return 0;
	if (!now || !slack_ns)
		r = become_real_time(!slack_ns, own, thread->tid);
	if (r == 0 && slack_ns)
		r = (int)thread->call(thread, SYS_prctl, PR_SET_TIMERSLACK, slack_ns, 0);
	return r;
}

int timer_slack_set(const struct own_limits *own, uint64_t slack_ns)
{
	const struct caller self = caller_self();

	return timer_slack_set_of(own, &self, slack_ns);
}
