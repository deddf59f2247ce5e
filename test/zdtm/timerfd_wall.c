/* Timers that follow the wall clock: absolute, cancelled when it is set, one that expired and was not read, alarms. */
#include "zdtmlib.h"

#include <sys/timerfd.h>
#include <time.h>

enum { CANCELLED, EXPIRED, REPEATED, ALARM, COUNT };
enum { TOLERANCE_NS = 5000000 };

static int fds[COUNT];

static int settime_flags(int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return (int)test_field(test_slurp(path), "settime flags", 8);
}

static struct timespec set(int which, int clock, int flags, long seconds, long interval)
{
	struct itimerspec when = { .it_interval.tv_sec = interval };

	fds[which] = timerfd_create(clock, TFD_NONBLOCK);
	if (fds[which] < 0)
		return when.it_value;
	if (flags & TFD_TIMER_ABSTIME)
		MUST(clock_gettime(clock == 9 ? CLOCK_BOOTTIME : clock, &when.it_value));
	when.it_value.tv_sec += seconds;
	MUST(timerfd_settime(fds[which], flags, &when, NULL));
	return when.it_value;
}

static int64_t to_ns(const struct timespec *time)
{
	return time->tv_sec * 1000000000ll + time->tv_nsec;
}

/*
 * The moment that was set: what is left of it is told between two looks at the clock. Those of the dump lie a little
 * apart; the time from the dump to the restore is much more.
 */
static void expect_moment(int fd, clockid_t clock, const struct timespec *moment)
{
	struct timespec before, after;
	struct itimerspec left;
	int64_t began;

	MUST(clock_gettime(clock, &before));
	MUST(timerfd_gettime(fd, &left));
	MUST(clock_gettime(clock, &after));
	began = to_ns(moment) - to_ns(&left.it_value);
	if (began < to_ns(&before) - TOLERANCE_NS || began > to_ns(&after) + TOLERANCE_NS)
		FAIL("it expires %lld ns late", (long long)(to_ns(&before) - began));
}

int main(void)
{
	struct timespec moment;
	struct itimerspec left;
	uint64_t times;

	test_start();
	moment = set(CANCELLED, CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 5000, 7);
	set(EXPIRED, CLOCK_REALTIME, TFD_TIMER_ABSTIME, -10, 0);
	set(REPEATED, CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, -1000, 300);
	set(ALARM, 9 /* CLOCK_BOOTTIME_ALARM */, TFD_TIMER_ABSTIME, 6000, 0);
	test_wait();
	EXPECT_EQ(settime_flags(fds[CANCELLED]), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	MUST(timerfd_gettime(fds[CANCELLED], &left));
	EXPECT(left.it_value.tv_sec > 4900 && left.it_value.tv_sec <= 5000);
	EXPECT_EQ(left.it_interval.tv_sec, 7);
	expect_moment(fds[CANCELLED], CLOCK_REALTIME, &moment);
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
