/* timerfd: clocks, relative and absolute settings, intervals, expirations not yet read, an unset one, flags. */
#include "zdtmlib.h"

#include <sys/timerfd.h>
#include <time.h>

static const struct timer {
	clockid_t clock;
	struct itimerspec set;
} timers[] = {
	{ CLOCK_MONOTONIC, { { 100, 1 }, { 1000, 2 } } },    { CLOCK_REALTIME, { { 0, 0 }, { 2000, 0 } } },
	{ CLOCK_BOOTTIME, { { 7, 7 }, { 3000, 0 } } },       { CLOCK_MONOTONIC, { { 0, 0 }, { 0, 0 } } },
	{ CLOCK_REALTIME_ALARM, { { 0, 0 }, { 4000, 0 } } },
};
enum { COUNT = sizeof(timers) / sizeof(timers[0]) };

static double seconds(const struct timespec *ts)
{
	return ts->tv_sec + ts->tv_nsec / 1e9;
}

static void check(int fd, const struct timer *timer)
{
	struct itimerspec now;
	uint64_t count;

	MUST(timerfd_gettime(fd, &now));
	EXPECT_EQ(now.it_interval.tv_sec, timer->set.it_interval.tv_sec);
	EXPECT_EQ(now.it_interval.tv_nsec, timer->set.it_interval.tv_nsec);
	EXPECT(seconds(&now.it_value) <= seconds(&timer->set.it_value) + 0.001);
	EXPECT(!timer->set.it_value.tv_sec || seconds(&now.it_value) > seconds(&timer->set.it_value) - 600);
	EXPECT_EQ(read(fd, &count, 8), -1);
	EXPECT_EQ(errno, EAGAIN);
}

int main(void)
{
	struct itimerspec fast = { { 0, 5000000 }, { 0, 5000000 } }, until = { { 0, 0 }, { 0, 0 } };
	int fds[COUNT], ticking, absolute;
	uint64_t count = 0;

	test_start();
	for (int i = 0; i < COUNT; i++) {
		fds[i] = MUST(timerfd_create(timers[i].clock, TFD_NONBLOCK | (i % 2 ? TFD_CLOEXEC : 0)));
		MUST(timerfd_settime(fds[i], 0, &timers[i].set, NULL));
	}
	ticking = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	MUST(timerfd_settime(ticking, 0, &fast, NULL));
	absolute = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	MUST(clock_gettime(CLOCK_MONOTONIC, &until.it_value));
	until.it_value.tv_sec += 5000;
	MUST(timerfd_settime(absolute, TFD_TIMER_ABSTIME, &until, NULL));
	usleep(30000);
	test_wait();
	for (int i = 0; i < COUNT; i++) {
		check(fds[i], &timers[i]);
		EXPECT_EQ(fcntl(fds[i], F_GETFD), i % 2 ? FD_CLOEXEC : 0);
	}
	EXPECT_EQ(read(ticking, &count, 8), 8);
	EXPECT(count >= 5);
	EXPECT_EQ(read(ticking, &count, 8), 8); /* and it goes on */
	MUST(timerfd_gettime(absolute, &until));
	EXPECT(until.it_value.tv_sec > 4000 && until.it_value.tv_sec <= 5000);
	return test_pass();
}
