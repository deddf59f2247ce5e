/*
 * Timers of the process: POSIX timers come back with their ids, and those whose signal is pending have expired already;
 * the others, and the interval timers, are armed when all else is there.
 */
#include "pie/restorer-timers.h"

#include <linux/prctl.h>

#include "pie/restorer-report.h"

#define TIMER_RESTORE_IDS 77
#define NSEC_PER_SEC      1000000000ll
#define USEC_PER_SEC      1000000ll
#define NSEC_PER_USEC     1000ll
#define CLOCK_MONOTONIC   1
#define CLOCK_COARSE      5 /* CLOCK_REALTIME_COARSE */
#define OTHERS_WAIT_MS    10000
#define SIGINFO_TIMER     -2 /* si_code SI_TIMER */
#define TIMER_ABSOLUTE    1
#define NOTIFY_SIGNAL     0
#define NOTIFY_NONE       1
#define NOTIFY_THREAD     4
#define OVERRUN_WAIT_S    5 /* the expiry is at once, and who expects it may get no processor */
#define EXPIRY_TRIES      1000
#define COUNTED_MOST      1000000 /* a second or two */
#define ALARM             14      /* SIGALRM */

/* Laid out as the kernel's struct sigevent. */
struct sigevent_record {
	uint64_t value;
	int32_t signal, notify, tid;
	int32_t reserved[11];
};

static long try_timer(const struct restorer_posix_timer *timer, int32_t *id)
{
	struct sigevent_record event = {
		.value = timer->value, .signal = timer->signal, .notify = timer->notify, .tid = timer->notify_tid
	};

	return SYS3(__NR_timer_create, timer->clock_id, &event, id);
}

/* The process whose time it counts may not be there yet: a negative clock has the pid in it. */
static long create_timer(const struct restorer_task *task, const struct restorer_posix_timer *timer, int32_t *id)
{
	const int64_t pause[2] = { 0, 1000000 };
	long result = try_timer(timer, id);

	for (uint32_t i = 0; result == -ERROR_INVAL && timer->clock_id < 0 && i < OTHERS_WAIT_MS; i++) {
		if (__atomic_load_n(&task->shared->failed, __ATOMIC_ACQUIRE))
			break;
		(void)SYS2(__NR_nanosleep, pause, 0);
		result = try_timer(timer, id);
	}
	return result;
}

/* Without the kernel's help ids count up: unwanted timers are made and deleted until the number comes. */
static long create_timer_by_counting(const struct restorer_task *task, const struct restorer_posix_timer *timer)
{
	for (;;) {
		int32_t id = -1;
		long result = create_timer(task, timer, &id);

		if (result < 0 || id == timer->id)
			return result;
		(void)SYS1(__NR_timer_delete, id);
		if (id > timer->id)
			return -ERROR_EXIST;
	}
}

/* Laid out as the kernel's struct itimerspec. */
struct timer_record {
	int64_t interval_sec, interval_nsec, value_sec, value_nsec;
};

static int is_periodic(const struct restorer_posix_timer *timer)
{
	return timer->interval_sec || timer->interval_nsec;
}

/* On the timer's own clock; 0: not known. */
static int64_t find_next_expiry(const struct restorer_posix_timer *timer)
{
	int64_t now[2] = { 0, 0 };

	if (timer->wall_ns)
		return timer->wall_ns;
	if (SYS2(__NR_clock_gettime, timer->clock_id, now) < 0)
		return 0;
	return now[0] * NSEC_PER_SEC + now[1] + timer->value_sec * NSEC_PER_SEC + timer->value_nsec;
}

/* So many periods before the next expiry; 0: there was no such time. */
static int64_t find_past_expiry(const struct restorer_posix_timer *timer, int64_t next, int64_t periods)
{
	const int64_t interval = timer->interval_sec * NSEC_PER_SEC + timer->interval_nsec;

	return interval > 0 && periods < next / interval ? next - periods * interval : 0;
}

static long arm_at(const struct restorer_posix_timer *timer, int64_t expiry)
{
	struct timer_record record = { timer->interval_sec, timer->interval_nsec, expiry / NSEC_PER_SEC,
				       expiry % NSEC_PER_SEC };

	return SYS4(__NR_timer_settime, timer->id, TIMER_ABSOLUTE, &record, 0);
}

/*
 * The expiry that the pending signal stands for. Whatever is in the past does for a timer without a period; one on a
 * clock that began anew cannot have missed as much. 0: not known.
 */
static int64_t find_noticed_expiry(const struct restorer_posix_timer *timer)
{
	int64_t next = is_periodic(timer) ? find_next_expiry(timer) : 1, expiry;

	if (!next || !is_periodic(timer))
		return next;
	expiry = find_past_expiry(timer, next, timer->missed + 1);
	if (!expiry)
		expiry = find_past_expiry(timer, next, 1);
	return expiry ? expiry : 1;
}

static struct restorer_posix_timer *find_timer(const struct restorer_task *task, int32_t id)
{
	for (uint64_t i = 0; i < task->posix_timer_count; i++)
		if (task->posix_timers[i].id == id && !task->posix_timers[i].armed)
			return &task->posix_timers[i];
	return 0;
}

/*
 * A timer whose signal is pending counts later expiries in it instead of queueing more. So that it does so again, its
 * signal is not put back as it was: the timer is set to have expired already, and sends it itself.
 */
int expire_timer(struct restorer_task *task, const struct restorer_siginfo *info)
{
	const int32_t *words = (const int32_t *)(const void *)info->bytes;
	struct restorer_posix_timer *timer = words[2] == SIGINFO_TIMER ? find_timer(task, words[4]) : 0;
	int64_t expiry = timer && timer->signal == words[0] ? find_noticed_expiry(timer) : 0;

	if (!expiry || arm_at(timer, expiry) < 0)
		return 0;
	timer->armed = 1;
	return 1;
}

static long arm_timer(const struct restorer_posix_timer *timer)
{
	struct timer_record record = { timer->interval_sec, timer->interval_nsec, timer->value_sec, timer->value_nsec };

	if (timer->wall_ns)
		return arm_at(timer, timer->wall_ns);
	return SYS4(__NR_timer_settime, timer->id, 0, &record, 0);
}

static int is_among(int32_t signal, const struct restorer_siginfo *infos, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (*(const int32_t *)(const void *)infos[i].bytes == signal)
			return 1;
	return 0;
}

static int has_others_waiting(const struct restorer_task *task, const struct restorer_posix_timer *timer)
{
	const struct restorer_thread *acting = &task->threads[task->acting];

	return is_among(timer->signal, task->pending, task->pending_count) ||
	       is_among(timer->signal, acting->pending, acting->pending_count);
}

/*
 * What it has missed before its last signal is set by nothing but such a signal: it expires so often in the past, and
 * this thread takes the signal. So it has to be a signal that this thread gets, and the only one of its number.
 */
static int overrun_once_more(struct restorer_posix_timer *timer, int32_t own_tid)
{
	const uint64_t set = 1ull << (timer->signal - 1);
	const int64_t limit[2] = { OVERRUN_WAIT_S, 0 };
	int64_t expiry = 0;

	if (timer->overrun && is_periodic(timer) && (timer->value_sec || timer->value_nsec) && !timer->armed &&
	    (timer->notify == NOTIFY_SIGNAL || (timer->notify == NOTIFY_THREAD && timer->notify_tid == own_tid)))
		expiry = find_past_expiry(timer, find_next_expiry(timer), timer->overrun + 1);
	if (!expiry || arm_at(timer, expiry) < 0)
		return 0;
	(void)SYS4(__NR_rt_sigtimedwait, &set, 0, limit, sizeof(set));
	timer->armed = 1;
	return 1;
}

/* Its own signal comes only by another expiry, which takes what was missed before the last one away. */
static int is_waiting(const struct restorer_posix_timer *timer, const struct restorer_siginfo *infos, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		const int32_t *words = (const int32_t *)(const void *)infos[i].bytes;

		if (words[0] == timer->signal && words[2] == SIGINFO_TIMER && words[4] == timer->id)
			return 1;
	}
	return 0;
}

/* Those with whose signal others of its number wait later go on from now, before these are there. */
static void overrun_early(struct restorer_task *task)
{
	const struct restorer_thread *acting = &task->threads[task->acting];

	for (uint64_t i = 0; i < task->posix_timer_count; i++) {
		struct restorer_posix_timer *timer = &task->posix_timers[i];

		if (has_others_waiting(task, timer) && !is_waiting(timer, task->pending, task->pending_count) &&
		    !is_waiting(timer, acting->pending, acting->pending_count))
			(void)overrun_once_more(timer, task->threads[0].tid);
	}
}

void overrun_of_thread(const struct restorer_thread *thread)
{
	struct restorer_task *task = thread->task;

	if (thread == &task->threads[task->acting])
		return;
	for (uint64_t i = 0; i < task->posix_timer_count; i++) {
		struct restorer_posix_timer *timer = &task->posix_timers[i];

		if (!timer->overrun || timer->notify != NOTIFY_THREAD || timer->notify_tid != thread->tid ||
		    is_among(timer->signal, task->pending, task->pending_count) ||
		    is_waiting(timer, thread->pending, thread->pending_count))
			continue;
		wait_while(&task->timers_made, 0);
		(void)overrun_once_more(timer, thread->tid);
	}
}

static long count_one(int32_t *id)
{
	const struct restorer_posix_timer unwanted = { .clock_id = CLOCK_MONOTONIC, .notify = NOTIFY_NONE };
	long result = try_timer(&unwanted, id);

	if (result == 0)
		(void)SYS1(__NR_timer_delete, *id);
	return result;
}

/* The kernel counts on from the number that was asked for last. */
static void create_timers_by_id(struct restorer_task *task)
{
	int is_there = 0;

	for (int is_last = 0; is_last < 2; is_last++)
		for (uint64_t i = 0; i < task->posix_timer_count; i++) {
			const struct restorer_posix_timer *timer = &task->posix_timers[i];
			int32_t id = timer->id;

			if ((timer->id == task->last_timer) != is_last)
				continue;
			check(task, create_timer(task, timer, &id), (uint64_t)timer->id);
			is_there = is_last;
		}
	if (task->last_timer >= 0 && !is_there)
		check(task, count_one(&(int32_t){ task->last_timer }), (uint64_t)task->last_timer);
}

/* What lies far ahead or behind is not to be had that way. */
static void create_timers_by_counting(struct restorer_task *task)
{
	int32_t id = -1;

	for (uint64_t i = 0; i < task->posix_timer_count; i++) {
		id = task->posix_timers[i].id;
		check(task, create_timer_by_counting(task, &task->posix_timers[i]), (uint64_t)id);
	}
	if (task->last_timer > id && task->last_timer - id <= COUNTED_MOST)
		while (id != task->last_timer && count_one(&id) == 0)
			;
}

static int needs_timers(const struct restorer_task *task)
{
	return task->posix_timer_count || task->last_timer >= 0;
}

void create_timers(struct restorer_task *task)
{
	enter(task, STEP_POSIX_TIMER);
	if (needs_timers(task) && !task->timers_by_counting && SYS5(__NR_prctl, TIMER_RESTORE_IDS, 1, 0, 0, 0) == 0) {
		create_timers_by_id(task);
		(void)SYS5(__NR_prctl, TIMER_RESTORE_IDS, 0, 0, 0, 0);
	} else if (needs_timers(task)) {
		create_timers_by_counting(task);
	}
	overrun_early(task);
	__atomic_store_n(&task->timers_made, 1, __ATOMIC_RELEASE);
	if (task->thread_count > 1)
		wake(&task->timers_made, ~0u >> 1);
}

/*
 * The timer of SIGALRM that goes on by an interval has no time left while its signal waits: whoever takes the signal
 * starts it again. So it is let expire here. Its signal adds nothing to the one that waits already.
 */
static void expire_real_timer(struct restorer_task *task)
{
	struct restorer_itimer timer = task->itimers[0];

	timer.value_usec = 1;
	check(task, SYS3(__NR_setitimer, 0, &timer, 0), 0);
	for (int i = 0; i < EXPIRY_TRIES && timer.value_usec; i++) {
		(void)SYS0(__NR_sched_yield);
		check(task, SYS2(__NR_getitimer, 0, &timer), 0);
	}
}

/*
 * To what is left of a timer of processor time the kernel adds a tick, which it shows from then on. The coarse clocks
 * tell how long that is. What is left of less than one cannot be set.
 */
static void leave_tick_out(struct restorer_itimer *timer)
{
	int64_t tick[2] = { 0, 0 }, left;

	if ((!timer->value_sec && !timer->value_usec) || SYS2(__NR_clock_getres, CLOCK_COARSE, tick) < 0 || tick[0])
		return;
	left = timer->value_sec * USEC_PER_SEC + timer->value_usec - tick[1] / NSEC_PER_USEC;
	if (left < 1)
		left = 1;
	timer->value_sec = left / USEC_PER_SEC;
	timer->value_usec = left % USEC_PER_SEC;
}

void arm_timers(struct restorer_task *task)
{
	enter(task, STEP_POSIX_TIMER);
	for (uint64_t i = 0; i < task->posix_timer_count; i++) {
		struct restorer_posix_timer *timer = &task->posix_timers[i];

		if (!timer->armed && (timer->value_sec || timer->value_nsec) &&
		    (has_others_waiting(task, timer) || !overrun_once_more(timer, task->threads[task->acting].tid)))
			check(task, arm_timer(timer), (uint64_t)timer->id);
	}
	enter(task, STEP_ITIMER);
	for (uint32_t which = 0; which < 3; which++) {
		struct restorer_itimer *timer = &task->itimers[which];

		if (which)
			leave_tick_out(timer);
		if (timer->value_sec || timer->value_usec)
			check(task, SYS3(__NR_setitimer, which, timer, 0), which);
		else if (which == 0 && (timer->interval_sec || timer->interval_usec) &&
			 is_among(ALARM, task->pending, task->pending_count))
			expire_real_timer(task);
	}
}
