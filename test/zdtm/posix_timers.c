/* Posix timers: clocks, ids (also with gaps), notification kinds, intervals, what remains, overruns, a signal pending.
 */
#include "zdtmlib.h"

#include <time.h>

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

int main(void)
{
	struct itimerspec fast = { { 0, 1000000 }, { 0, 1000000 } };
	struct timespec minute = { .tv_sec = 60 };
	siginfo_t info;
	sigset_t set;
	int gap, ticking, overruns = 0;

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
	usleep(20000);
	test_wait();
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
