/*
 * POSIX timers of the wall clock that wait for a time (TIMER_ABSTIME) expire at that time, however long a checkpoint
 * takes; also a periodic one whose signal is pending. One that waits for a span has that span left.
 */
#include "zdtmlib.h"

#include <time.h>

#define NS 1000000000ll

static int64_t now(void)
{
	struct timespec ts;

	MUST(clock_gettime(CLOCK_REALTIME, &ts));
	return ts.tv_sec * NS + ts.tv_nsec;
}

static timer_t create(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	timer_t timer;

	MUST(timer_create(CLOCK_REALTIME, &event, &timer));
	return timer;
}

static timer_t arm(int flags, int64_t value, int64_t interval)
{
	const struct itimerspec when = { { interval / NS, interval % NS }, { value / NS, value % NS } };
	timer_t timer = create();

	MUST(timer_settime(timer, flags, &when, NULL));
	return timer;
}

static int64_t left(timer_t timer)
{
	struct itimerspec value;

	MUST(timer_gettime(timer, &value));
	return value.it_value.tv_sec * NS + value.it_value.tv_nsec;
}

/* It expires next at the time, or whole intervals later. */
static void expect_time(timer_t timer, int64_t time, int64_t interval)
{
	int64_t before = now(), rest = left(timer), after = now();

	while (interval && time < before + rest)
		time += interval;
	if (time < before + rest || time > after + rest)
		FAIL("it expires %lld to %lld ns later than it should", (long long)(before + rest - time),
		     (long long)(after + rest - time));
}

int main(void)
{
	const int64_t start = now(), interval = 700 * NS, far = start + 5000 * NS, near = start + NS / 10;
	timer_t at_far, periodic, expired, span;
	siginfo_t info;
	sigset_t set;

	test_start();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	at_far = arm(TIMER_ABSTIME, far, 0);
	periodic = arm(TIMER_ABSTIME, far, interval);
	expired = arm(TIMER_ABSTIME, near, interval);
	span = arm(0, 5000 * NS, 0);
	while (now() < near + NS / 20)
		usleep(10000);
	test_wait();
	expect_time(at_far, far, 0);
	expect_time(periodic, far, interval);
	expect_time(expired, near, interval);
	EXPECT(left(span) <= 5000 * NS && left(span) > 4000 * NS);
	EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
	EXPECT_EQ(info.si_code, SI_TIMER);
	expect_time(expired, near, interval);
	return test_pass();
}
