/*
 * Timers of the process: POSIX timers come back with their ids, and those whose signal is pending have expired already;
 * the others, and the interval timers, are armed when all else is there.
 */
#include "pie/restorer-timers.h"

#include <linux/prctl.h>

#include "pie/restorer-report.h"

#define TIMER_RESTORE_IDS 77
#define NSEC_PER_SEC      1000000000ll
#define OTHERS_WAIT_MS    10000
#define SIGINFO_TIMER     -2 /* si_code SI_TIMER */
#define TIMER_ABSOLUTE    1

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

void create_timers(struct restorer_task *task)
{
	long by_id;

	enter(task, STEP_POSIX_TIMER);
	by_id =
	    !task->posix_timer_count || task->timers_by_counting ? -1 : SYS5(__NR_prctl, TIMER_RESTORE_IDS, 1, 0, 0, 0);
	for (uint64_t i = 0; i < task->posix_timer_count; i++) {
		const struct restorer_posix_timer *timer = &task->posix_timers[i];
		int32_t id = timer->id;
		long result = by_id == 0 ? create_timer(task, timer, &id) : create_timer_by_counting(task, timer);

		check(task, result, (uint64_t)timer->id);
	}
	if (by_id == 0)
		(void)SYS5(__NR_prctl, TIMER_RESTORE_IDS, 0, 0, 0, 0);
	__atomic_store_n(&task->timers_made, 1, __ATOMIC_RELEASE);
	if (task->thread_count > 1)
		wake(&task->timers_made, ~0u >> 1);
}

/* Laid out as the kernel's struct itimerspec. */
struct timer_record {
	int64_t interval_sec, interval_nsec, value_sec, value_nsec;
};

/*
 * The expiry that the pending signal stands for, on the timer's own clock: a period before the next one. Whatever is in
 * the past does for a timer without a period.
 */
static int64_t find_past_expiry(const struct restorer_posix_timer *timer)
{
	const int64_t interval = timer->interval_sec * NSEC_PER_SEC + timer->interval_nsec;
	const int64_t value = timer->value_sec * NSEC_PER_SEC + timer->value_nsec;
	int64_t now[2] = { 0, 0 }, expiry;

	if (!interval)
		return 1;
	/* It counts what it has missed. */
	if (timer->wall_ns > interval)
		return timer->wall_ns - interval;
	if (SYS2(__NR_clock_gettime, timer->clock_id, now) < 0)
		return 0;
	expiry = now[0] * NSEC_PER_SEC + now[1] + value - interval;
	return expiry > 0 ? expiry : 1;
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
	struct timer_record record;
	int64_t expiry;

	if (!timer || timer->signal != words[0])
		return 0;
	expiry = find_past_expiry(timer);
	record = (struct timer_record){ timer->interval_sec, timer->interval_nsec, expiry / NSEC_PER_SEC,
					expiry % NSEC_PER_SEC };
	if (!expiry || SYS4(__NR_timer_settime, timer->id, TIMER_ABSOLUTE, &record, 0) < 0)
		return 0;
	timer->armed = 1;
	return 1;
}

static long arm_timer(const struct restorer_posix_timer *timer)
{
	struct timer_record record = { timer->interval_sec, timer->interval_nsec, timer->value_sec, timer->value_nsec };

	if (!timer->wall_ns)
		return SYS4(__NR_timer_settime, timer->id, 0, &record, 0);
	record.value_sec = timer->wall_ns / NSEC_PER_SEC;
	record.value_nsec = timer->wall_ns % NSEC_PER_SEC;
	return SYS4(__NR_timer_settime, timer->id, TIMER_ABSOLUTE, &record, 0);
}

void arm_timers(struct restorer_task *task)
{
	enter(task, STEP_POSIX_TIMER);
	for (uint64_t i = 0; i < task->posix_timer_count; i++) {
		const struct restorer_posix_timer *timer = &task->posix_timers[i];

		if (!timer->armed && (timer->value_sec || timer->value_nsec))
			check(task, arm_timer(timer), (uint64_t)timer->id);
	}
	enter(task, STEP_ITIMER);
	for (uint32_t which = 0; which < 3; which++) {
		const struct restorer_itimer *timer = &task->itimers[which];

		if (timer->value_sec || timer->value_usec)
			check(task, SYS3(__NR_setitimer, which, timer, 0), which);
	}
}
