/* Timers that follow the wall clock: absolute, cancelled when it is set, one that expired and was not read, alarms. */
#include "zdtmlib.h"

#include <sys/timerfd.h>
#include <time.h>

enum { CANCELLED, EXPIRED, REPEATED, ALARM, COUNT };

static int fds[COUNT];

static int settime_flags(int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return (int)test_field(test_slurp(path), "settime flags", 8);
}

static void set(int which, int clock, int flags, long seconds, long interval)
{
	struct itimerspec when = { .it_interval.tv_sec = interval };

	fds[which] = timerfd_create(clock, TFD_NONBLOCK);
	if (fds[which] < 0)
		return;
	if (flags & TFD_TIMER_ABSTIME)
		MUST(clock_gettime(clock == 9 ? CLOCK_BOOTTIME : clock, &when.it_value));
	when.it_value.tv_sec += seconds;
	MUST(timerfd_settime(fds[which], flags, &when, NULL));
}

int main(void)
{
	struct itimerspec left;
	uint64_t times;

	test_start();
	set(CANCELLED, CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 5000, 7);
	set(EXPIRED, CLOCK_REALTIME, TFD_TIMER_ABSTIME, -10, 0);
	set(REPEATED, CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, -1000, 300);
	set(ALARM, 9 /* CLOCK_BOOTTIME_ALARM */, TFD_TIMER_ABSTIME, 6000, 0);
	test_wait();
	EXPECT_EQ(settime_flags(fds[CANCELLED]), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	MUST(timerfd_gettime(fds[CANCELLED], &left));
	EXPECT(left.it_value.tv_sec > 4900 && left.it_value.tv_sec <= 5000);
	EXPECT_EQ(left.it_interval.tv_sec, 7);
	EXPECT_EQ(read(fds[CANCELLED], &times, sizeof(times)), -1);
	EXPECT_EQ(errno, EAGAIN); /* the clock was not set */
	EXPECT_EQ(read(fds[EXPIRED], &times, sizeof(times)), 8);
	EXPECT_EQ(times, 1);
	MUST(timerfd_gettime(fds[EXPIRED], &left));
	EXPECT_EQ(left.it_value.tv_sec, 0);
	EXPECT_EQ(read(fds[REPEATED], &times, sizeof(times)), 8);
	EXPECT_EQ(times, 4);
	MUST(timerfd_gettime(fds[REPEATED], &left));
	EXPECT(left.it_value.tv_sec > 100 && left.it_value.tv_sec <= 200);
	if (fds[ALARM] >= 0) {
		MUST(timerfd_gettime(fds[ALARM], &left));
		EXPECT(left.it_value.tv_sec > 5900);
		EXPECT_EQ(settime_flags(fds[ALARM]), TFD_TIMER_ABSTIME);
	}
	return test_pass();
}
