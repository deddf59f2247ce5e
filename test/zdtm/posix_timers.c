/*
 * Posix timers: clocks, ids (also with gaps), notification kinds, intervals, what remains, overruns, a signal pending.
 * And the id that the next one gets: behind that of the last one, which may be deleted. With an argument also where
 * a program that makes timers by their ids has left it behind: before others that are there, or far ahead; with another
 * one that of processes without timers.
 */
#include "zdtmlib.h"

#include <limits.h>
#include <sys/prctl.h>
#include <time.h>

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS     77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON  1
#endif

struct timer {
	clockid_t clock;
	int notify, signo;
	struct itimerspec set;
	int id;
};

static struct timer timers[] = {
	{ CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1, { { 100, 5 }, { 1000, 0 } }, 0 },
	{ CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, { { 0, 0 }, { 2000, 7 } }, 0 },
	{ CLOCK_BOOTTIME, SIGEV_NONE, 0, { { 3, 500 }, { 3000, 0 } }, 0 },
	{ CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, { { 0, 0 }, { 4000, 0 } }, 0 },
	{ CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, { { 1, 0 }, { 5000, 0 } }, 0 },
	{ CLOCK_TAI, SIGEV_THREAD_ID, SIGUSR2, { { 0, 0 }, { 6000, 0 } }, 0 },
	{ CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, { { 0, 0 }, { 0, 0 } }, 0 },
};
enum { COUNT = sizeof(timers) / sizeof(timers[0]) };

static double seconds(const struct timespec *ts)
{
	return ts->tv_sec + ts->tv_nsec / 1e9;
}

static int create(clockid_t clock, int notify, int signo, int value)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = signo, .sigev_value.sival_int = value };
	int id = -1;

	event._sigev_un._tid = gettid();
	MUST(syscall(SYS_timer_create, clock, &event, &id));
	return id;
}

static void check_timer(const struct timer *timer)
{
	struct itimerspec now;

	MUST(syscall(SYS_timer_gettime, timer->id, &now));
	EXPECT_EQ(now.it_interval.tv_sec, timer->set.it_interval.tv_sec);
	EXPECT_EQ(now.it_interval.tv_nsec, timer->set.it_interval.tv_nsec);
	if (seconds(&now.it_value) > seconds(&timer->set.it_value) + 0.001 ||
	    (timer->set.it_value.tv_sec && seconds(&now.it_value) < seconds(&timer->set.it_value) - 600))
		FAIL("timer %d: expected a bit less than %f, found %f", timer->id, seconds(&timer->set.it_value),
		     seconds(&now.it_value));
}

/* Where the next id is not behind the highest that there is: the last one is asked for. */
static int create_as(int id)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	int got = id;

	if (prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_ON, 0, 0, 0) < 0)
		test_skip("the kernel makes no timers by their ids: %s", strerror(errno));
	MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &got));
	MUST(prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_OFF, 0, 0, 0));
	EXPECT_EQ(got, id);
	return id;
}

static void expect_next(int id)
{
	EXPECT_EQ(create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0), id);
}

struct ids {
	int kept, last; /* made in this order, -1: none */
	bool deletes_last;
	int next;
};

static void with_ids(void *arg)
{
	const struct ids *ids = arg;

	if (ids->kept >= 0)
		(void)create_as(ids->kept);
	(void)create_as(ids->last);
	if (ids->deletes_last)
		MUST(syscall(SYS_timer_delete, ids->last));
	child_wait();
	expect_next(ids->next);
	expect_next(ids->next + 1);
}

/* So many that what is known of all at once is known of those without a timer. */
static int test_ids(bool has_timers)
{
	static struct ids with_timers[] = { { 10, 2, false, 3 },
					    { 10, 2, true, 3 },
					    { 0, 1 << 30, true, (1 << 30) + 1 },
					    { 5, INT_MAX, true, 0 },
					    { INT_MAX, 7, false, 8 } };
	static struct ids without[] = { { -1, 3, true, 4 }, { -1, 0, true, 1 }, { -1, 1000, true, 1001 } };
	enum { CHILDREN = 20 };
	pid_t pids[CHILDREN];

	test_start();
	for (int i = 0; i < CHILDREN; i++)
		pids[i] = test_fork(with_ids, has_timers ? &with_timers[i % 5] : &without[i % 3]);
	test_wait();
	for (int i = 0; i < CHILDREN; i++)
		test_end_child(pids[i]);
	return test_pass();
}

int main(int argc, char **argv)
{
	struct itimerspec fast = { { 0, 1000000 }, { 0, 1000000 } };
	struct timespec minute = { .tv_sec = 60 };
	siginfo_t info;
	sigset_t set;
	int gap, ticking, overruns = 0;

	if (argc > 1)
		return test_ids(strcmp(argv[1], "ids") == 0);
	test_start();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int i = 0; i < COUNT; i++) {
		gap = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
		timers[i].id = create(timers[i].clock, timers[i].notify, timers[i].signo, i);
		MUST(syscall(SYS_timer_delete, gap));
		MUST(syscall(SYS_timer_settime, timers[i].id, 0, &timers[i].set, NULL));
	}
	ticking = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 4711);
	MUST(syscall(SYS_timer_settime, ticking, 0, &fast, NULL));
	for (int i = 0; i < 3; i++)
		MUST(syscall(SYS_timer_delete, create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0)));
	usleep(20000);
	test_wait();
	expect_next(ticking + 4);
	for (int i = 0; i < COUNT; i++)
		check_timer(&timers[i]);
	/* Its first expiry waits, blocked; later ones count as overruns: those before a checkpoint in timer_overruns.c.
	 */
	usleep(20000);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(sigtimedwait(&set, &info, &minute), SIGRTMIN);
		EXPECT_EQ(info.si_code, SI_TIMER);
		EXPECT_EQ(info.si_value.sival_int, 4711);
		EXPECT_EQ(info.si_timerid, ticking);
		overruns += info.si_overrun;
	}
	EXPECT(overruns >= 10);
	for (int i = 0; i < COUNT; i++)
		MUST(syscall(SYS_timer_delete, timers[i].id));
	return test_pass();
}
