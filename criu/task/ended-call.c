/*
 * A thread that was looked at while it ran may have ended its call and made it once more with the same arguments before
 * it was stopped, and then has more time left. It has slept and been woken then: a thread that still sleeps in the same
 * call gives up the processor exactly once more, to stand still.
 */
#include "task/ended-call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/syscall-restart.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/dump.h"
#include "kernel/features.h"
#include "kernel/proc-list.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-status.h"
#include "kernel/sleep-timer.h"
#include "task/task-look.h"

#define MANY_THREADS 16

struct foreseen {
	pid_t tid;
	struct syscall_arguments call;
	uint64_t switches, deadline_ns;
};

struct ended_calls {
	struct sleep_timer_reader reader;
	bool can_read;
	struct proc_time_offsets offsets; /* of our clocks from those of the deadlines that are read */
	struct foreseen *foreseen;
	size_t count, capacity;
};

/* --- before the stop --------------------------------------------------------------------------------------------- */

/* A thread that runs has no call to show. */
static bool read_call(const struct task *task, pid_t tid, struct syscall_arguments *ret)
{
	struct proc_call call;

	if (proc_read_call(task->procfd, tid, &call) < 0)
		return false;
	ret->number = call.number;
	memcpy(ret->args, call.args, sizeof(ret->args));
	return true;
}

static struct ended_calls *get_reader(struct dump *d)
{
	struct ended_calls *calls = d->ended_calls;
	int r;

	if (calls)
		return calls->can_read ? calls : NULL;
	calls = d->ended_calls = calloc(1, sizeof(*calls));
	if (!calls)
		return NULL;
	r = proc_read_own_time_offsets(&calls->offsets);
	if (r == 0)
		r = feature_is_masked("bpf_sleep_timers") ? -EOPNOTSUPP : sleep_timer_open(&calls->reader);
	calls->can_read = r == 0;
	if (r < 0)
		log_debug("timers of sleeping threads cannot be read: %s\n", strerror(-r));
	return r < 0 ? NULL : calls;
}

static void add(struct ended_calls *calls, pid_t tid, const struct syscall_arguments *call,
		const struct sleep_timer *timer)
{
	if (array_reserve(&calls->foreseen, &calls->capacity, calls->count, sizeof(*calls->foreseen)) < 0)
		return;
	calls->foreseen[calls->count++] = (struct foreseen){
		.tid = tid,
		.call = *call,
		.switches = timer->switches,
		.deadline_ns = timer->deadline_ns + (uint64_t)calls->offsets.monotonic_ns,
	};
}

/* The timers come in the order of the threads: both lists have to be of the same moment. */
static bool is_still_list(const struct task *task, const pid_t *tids, size_t count)
{
	AUTO_FREE pid_t *again = NULL;
	size_t again_count = 0;

	return proc_list_threads(task->procfd, &again, &again_count) == 0 && again_count == count &&
	       memcmp(again, tids, count * sizeof(*tids)) == 0;
}

static bool list_timers(const struct ended_calls *calls, const struct task *task, const pid_t *tids, size_t count,
			struct sleep_timer **ret)
{
	size_t timer_count = 0;

	return sleep_timer_list(&calls->reader, task->pidfd, ret, &timer_count) == 0 && timer_count == count &&
	       is_still_list(task, tids, count);
}

struct candidate {
	bool waits;
	struct syscall_arguments call;
};

static bool read_waiting_call(const struct task *task, pid_t tid, struct syscall_arguments *ret)
{
	return read_call(task, tid, ret) && syscall_has_register_timeout(ret);
}

/* timers: NULL, or what is known of them, which leaves out threads without one. Whether there are any. */
static bool read_calls(const struct task *task, const pid_t *tids, size_t count, const struct sleep_timer *timers,
		       struct candidate *candidates)
{
	bool is_any = false;

	for (size_t i = 0; i < count; i++) {
		struct candidate *each = &candidates[i];

		each->waits = (!timers || timers[i].is_set) && read_waiting_call(task, tids[i], &each->call);
		is_any = is_any || each->waits;
	}
	return is_any;
}

/*
 * A thread that has lost the processor on its way to sleep already looks asleep, and gives it up once more when it gets
 * it back. To read its call is to wait until it really sleeps: what counts of the timers is what they are behind that.
 */
void ended_calls_foresee(struct dump *d, const struct task *task)
{
	AUTO_FREE struct candidate *candidates = NULL;
	AUTO_FREE struct sleep_timer *first = NULL, *timers = NULL;
	AUTO_FREE pid_t *tids = NULL;
	struct ended_calls *calls = NULL;
	struct syscall_arguments call;
	size_t count = 0;

	/* Most processes are done with this. */
	if (proc_has_one_thread(task->procfd) && !read_waiting_call(task, task->host_pid, &call))
		return;
	if (proc_list_threads(task->procfd, &tids, &count) < 0)
		return;
	candidates = calloc(count + 1, sizeof(*candidates));
	/* Which of many threads have a timer at all is told for all at once. */
	if (count >= MANY_THREADS)
		calls = get_reader(d);
	if (!candidates || (count >= MANY_THREADS && (!calls || !list_timers(calls, task, tids, count, &first))))
		return;
	if (!read_calls(task, tids, count, first, candidates))
		return;
	calls = get_reader(d);
	if (!calls || !list_timers(calls, task, tids, count, &timers))
		return;
	for (size_t i = 0; i < count; i++)
		if (candidates[i].waits && timers[i].is_set)
			add(calls, tids[i], &candidates[i].call, &timers[i]);
}

/* --- behind it --------------------------------------------------------------------------------------------------- */

static uint64_t until(uint64_t deadline_ns)
{
	uint64_t now = now_ns();

	return deadline_ns > now ? deadline_ns - now : 0;
}

static int compare_tids(const void *a, const void *b)
{
	const struct foreseen *first = a, *second = b;

	return first->tid < second->tid ? -1 : first->tid > second->tid;
}

static void look_at_thread(const struct ended_calls *calls, const struct task_thread *thread)
{
	const struct foreseen key = { .tid = thread->tid };
	const struct foreseen *foreseen = bsearch(&key, calls->foreseen, calls->count, sizeof(key), compare_tids);
	struct ended_call *found = &thread->state->ended_call;

	if (foreseen) {
		found->is_known = syscall_was_ended(&thread->regs, &foreseen->call) &&
				  thread->status.voluntary_switches == foreseen->switches + 1;
		found->deadline_ns = foreseen->deadline_ns;
		found->remaining_ns = until(foreseen->deadline_ns);
	}
}

void ended_calls_look(struct dump *d)
{
	struct ended_calls *calls = d->ended_calls;

	if (!calls || !calls->count)
		return;
	qsort(calls->foreseen, calls->count, sizeof(*calls->foreseen), compare_tids);
	for_each_task (d, task)
		for (size_t i = 0; !task->is_zombie && i < task->thread_count; i++)
			if (task->threads[i].state)
				look_at_thread(calls, &task->threads[i]);
}

void ended_call_make_again(const struct ended_call *call, struct user_regs_struct *live)
{
	syscall_make_again_for(live, call->remaining_ns);
}

/* Of a task that nobody has looked at yet, since not all could be stopped. */
static void go_on_unseen(const struct task *task, const struct foreseen *foreseen)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	char path[48];

	for (size_t i = 0; i < task->compel->thread_count; i++) {
		const struct compel_thread *thread = &task->compel->threads[i];
		struct user_regs_struct regs = thread->regs;

		if (thread->tid != foreseen->tid || !thread->stopped || !syscall_was_ended(&regs, &foreseen->call))
			continue;
		(void)snprintf(path, sizeof(path), "task/%d/status", thread->tid);
		if (proc_status_read(task->procfd, path, &status) < 0 ||
		    status.voluntary_switches != foreseen->switches + 1)
			return;
		syscall_make_again_for(&regs, until(foreseen->deadline_ns));
		(void)compel_set_regs(thread->tid, &regs);
		return;
	}
}

/* Until now it was left as it is: without us the call ends with EINTR. */
void ended_calls_go_on(const struct dump *d, const struct task *task)
{
	for (size_t i = 0; !task->thread_count && d->ended_calls && i < d->ended_calls->count; i++)
		go_on_unseen(task, &d->ended_calls->foreseen[i]);
	for (size_t i = 0; i < task->thread_count; i++) {
		const struct task_thread *thread = &task->threads[i];
		struct user_regs_struct regs;

		if (!thread->state || !thread->state->ended_call.is_known)
			continue;
		regs = thread->regs;
		syscall_make_again_for(&regs, until(thread->state->ended_call.deadline_ns));
		(void)compel_set_regs(thread->tid, &regs);
	}
}

void ended_calls_free(struct dump *d)
{
	if (!d->ended_calls)
		return;
	if (d->ended_calls->can_read)
		close_fd(&d->ended_calls->reader.program_fd);
	free(d->ended_calls->foreseen);
	free(d->ended_calls);
	d->ended_calls = NULL;
}
