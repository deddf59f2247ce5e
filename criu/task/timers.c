/*
 * Interval timers and POSIX timers. /proc/PID/timers lists the POSIX timers with their notification; the time left and
 * the overrun count only the task itself can ask for. Whether a timer waits for a time of the wall clock or for a span
 * is read from the kernel's own structures; where they cannot be read it comes back with the span that was left. So is
 * how often one has expired while its signal waits, which otherwise begins anew; and so is the id that the next timer
 * gets, which otherwise is the one behind the highest that there is.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "kernel/posix-timer.h"
#include "kernel/task-facts.h"
#include "task/core-save.h"
#include "task/task-look.h"
#include "pie/parasite-border.h"

static ItimerEntry *save_itimer(const struct parasite_itimer *timer, struct arena *arena)
{
	ItimerEntry *entry = arena_alloc(arena, sizeof(*entry));

	if (!entry)
		return NULL;
	itimer_entry__init(entry);
	entry->isec = timer->interval_sec;
	entry->iusec = timer->interval_usec;
	entry->vsec = timer->value_sec;
	entry->vusec = timer->value_usec;
	return entry;
}

/* Of a process without timers it is known only where it costs nothing. */
static void look_next_id(struct dump *d, struct task *task)
{
	const struct task_facts *facts = task->thread_count ? task->threads[0].facts : NULL;
	struct task_state *state = task->state;
	struct kernel_memory *km;
	int r;

	state->next_timer_id = facts ? facts->next_timer_id : -1;
	if (facts || !state->timer_count)
		return;
	r = dump_kernel_memory(d, &km);
	if (r == 0)
		r = posix_timer_next_id(km, task->pidfd, &state->next_timer_id);
	if (r < 0)
		log_debug(TASK_FORMAT ": which id its next timer gets is not known: %s", TASK_ARGS(task), strerror(-r));
}

void timers_look(struct dump *d, struct task *task)
{
	struct task_state *state = task->state;
	struct kernel_memory *km;
	size_t i = 0;
	int r;

	look_next_id(d, task);
	while (i < state->timer_count && state->timers[i].clock_id != CLOCK_REALTIME)
		i++;
	if (i == state->timer_count)
		return;
	r = dump_kernel_memory(d, &km);
	if (r == 0)
		r = hidden_timers_read(km, task->pidfd, &state->hidden_timers, &state->hidden_timer_count);
	if (r < 0)
		log_debug(TASK_FORMAT ": whether its timers wait for a time or for a span is not known: %s",
			  TASK_ARGS(task), strerror(-r));
}

/* When the timer expires next; the kernel has the last expiry while its signal waits. */
static void save_wall_time(const struct task_state *state, PosixTimerEntry *entry)
{
	const uint64_t interval = entry->isec * NS_PER_SEC + entry->insec;
	const uint64_t now_ns = (uint64_t)clock_now_ns(CLOCK_REALTIME);

	if (!entry->vsec && !entry->vnsec)
		return;
	for (size_t i = 0; i < state->hidden_timer_count; i++) {
		uint64_t expiry = state->hidden_timers[i].wall_expiry_ns;

		if (state->hidden_timers[i].id != (int)entry->it_id || !expiry)
			continue;
		if (interval && expiry < now_ns)
			expiry += ((now_ns - expiry) / interval + 1) * interval;
		entry->has_wall_ns = true;
		entry->wall_ns = expiry;
	}
}

static bool was_pending(const struct task *task, int signal)
{
	return signal > 0 && signal <= PARASITE_SIGNALS && task->parasite->pending >> (signal - 1) & 1;
}

static bool is_itimer_set(const struct parasite_itimer *timer)
{
	return timer->value_sec || timer->value_usec;
}

/* One that was set once has time left until it expires, and the one of SIGALRM until its signal is taken. */
bool timers_send_again(const struct task *task, const uint8_t *bytes)
{
	static const int signals[3] = { SIGALRM, SIGVTALRM, SIGPROF };
	const struct parasite_posix_timer *times = (const void *)(task->parasite + 1);
	const struct parasite_itimer *itimers = task->parasite->itimers;
	siginfo_t info;

	memcpy(&info, bytes, sizeof(info));
	for (int i = 0; i < 3 && info.si_code == SI_KERNEL; i++)
		if (info.si_signo == signals[i])
			return is_itimer_set(&itimers[i]) &&
			       (i == 0 || !(itimers[i].interval_sec || itimers[i].interval_usec) ||
				!was_pending(task, info.si_signo));
	for (size_t i = 0; i < task->state->timer_count && info.si_code == SI_TIMER; i++)
		if (task->state->timers[i].id == info.si_timerid)
			return (times[i].value_sec || times[i].value_nsec) &&
			       (!(times[i].interval_sec || times[i].interval_nsec) ||
				!was_pending(task, info.si_signo));
	return false;
}

#define ANY_TIMER (-1)

static bool has_timer_signal(const struct siginfo_queue *queue, int timer_id)
{
	for (size_t i = 0; i < queue->count; i++) {
		siginfo_t info;

		memcpy(&info, queue->infos[i], sizeof(info));
		if (info.si_code == SI_TIMER && (timer_id == ANY_TIMER || info.si_timerid == timer_id))
			return true;
	}
	return false;
}

/* For the process or one of its threads. */
static bool has_any_timer_signal(const struct task *task, int timer_id)
{
	bool has = has_timer_signal(&task->state->signals, timer_id);

	for (size_t i = 0; i < task->thread_count && !has; i++)
		has = has_timer_signal(&task->threads[i].state->signals, timer_id);
	return has;
}

static bool has_waiting_timer(const struct task *task)
{
	return task->state->timer_count && has_any_timer_signal(task, ANY_TIMER);
}

void timers_look_again(struct dump *d)
{
	for_each_task (d, task) {
		struct kernel_memory *km;
		int r;

		if (task->is_zombie || !task->state || !has_waiting_timer(task))
			continue;
		r = dump_kernel_memory(d, &km);
		if (r == 0)
			r = hidden_timers_read(km, task->pidfd, &task->state->late_timers,
					       &task->state->late_timer_count);
		if (r < 0)
			log_debug(TASK_FORMAT ": how often its timers have expired unnoticed is not known: %s\n",
				  TASK_ARGS(task), strerror(-r));
	}
}

static void save_missed(const struct task_state *state, PosixTimerEntry *entry)
{
	for (size_t i = 0; i < state->late_timer_count; i++)
		if (state->late_timers[i].id == (int)entry->it_id && state->late_timers[i].missed > 0) {
			entry->has_missed = true;
			entry->missed = min_u64((uint64_t)state->late_timers[i].missed, INT_MAX);
		}
}

/* That of a process or thread is negative. */
static bool is_processor_clock(int clock)
{
	return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

/*
 * Only taking a signal sets that, and letting it come again takes what was set before. It takes as many expiries in the
 * past, too.
 */
static void warn_of_lost_overrun(const struct task *task, const PosixTimerEntry *entry)
{
	if (!entry->overrun)
		return;
	if (has_any_timer_signal(task, (int)entry->it_id))
		log_warn(TASK_FORMAT
			 ": timer %u: the next signal waits, and what timer_getoverrun(2) tells of the last "
			 "one (%u) is lost at restore\n",
			 TASK_ARGS(task), entry->it_id, entry->overrun);
	else if (is_processor_clock((int)entry->clock_id))
		log_warn(TASK_FORMAT
			 ": timer %u: what timer_getoverrun(2) tells of its last signal (%u) is lost at restore, for "
			 "its clock, of processor time, begins anew\n",
			 TASK_ARGS(task), entry->it_id, entry->overrun);
}

static PosixTimerEntry *save_posix_timer(const struct task *task, size_t index,
					 const struct parasite_posix_timer *times, struct arena *arena)
{
	const struct proc_timer *timer = &task->state->timers[index];
	PosixTimerEntry *entry = arena_alloc(arena, sizeof(*entry));

	if (!entry)
		return NULL;
	posix_timer_entry__init(entry);
	entry->it_id = (uint32_t)timer->id;
	entry->clock_id = (uint32_t)timer->clock_id;
	entry->si_signo = (uint32_t)timer->signal;
	entry->it_sigev_notify = (uint32_t)timer->notify;
	entry->sival_ptr = timer->sigev_value;
	entry->overrun = times->overrun > 0 ? (uint32_t)times->overrun : 0;
	entry->isec = (uint64_t)times->interval_sec;
	entry->insec = (uint64_t)times->interval_nsec;
	entry->vsec = (uint64_t)times->value_sec;
	entry->vnsec = (uint64_t)times->value_nsec;
	save_wall_time(task->state, entry);
	save_missed(task->state, entry);
	warn_of_lost_overrun(task, entry);
	if (timer->notify & SIGEV_THREAD_ID) {
		entry->has_notify_thread_id = true;
		entry->notify_thread_id = timer->notify_pid;
	}
	return entry;
}

/* Those of a process are sorted. */
static void save_next_id(const struct task_state *state, TaskCoreEntry *tc)
{
	const int highest = state->timer_count ? state->timers[state->timer_count - 1].id : -1;
	const int usual = highest == INT_MAX ? 0 : highest + 1;

	tc->has_next_timer_id = state->next_timer_id >= 0 && state->next_timer_id != usual;
	tc->next_timer_id = (uint32_t)state->next_timer_id;
}

int timers_save(const struct task *task, TaskCoreEntry *tc, struct arena *arena)
{
	const struct parasite_posix_timer *times = (const void *)(task->parasite + 1);
	TaskTimersEntry *timers = arena_alloc(arena, sizeof(*timers));

	if (!timers)
		return -ENOMEM;
	task_timers_entry__init(timers);
	timers->real = save_itimer(&task->parasite->itimers[0], arena);
	timers->virt = save_itimer(&task->parasite->itimers[1], arena);
	timers->prof = save_itimer(&task->parasite->itimers[2], arena);
	timers->posix = arena_alloc(arena, (task->state->timer_count + 1) * sizeof(*timers->posix));
	if (!timers->real || !timers->virt || !timers->prof || !timers->posix)
		return -ENOMEM;
	for (size_t i = 0; i < task->state->timer_count; i++) {
		timers->posix[i] = save_posix_timer(task, i, &times[i], arena);
		if (!timers->posix[i])
			return -ENOMEM;
		timers->n_posix++;
	}
	save_next_id(task->state, tc);
	tc->timers = timers;
	return 0;
}
