/*
 * A timer that is cancelled when the clock is set (TFD_TIMER_CANCEL_ON_SET): one that waits is kept. That the clock was
 * set cannot be brought back before a read has told it.
 */
#include "zdtmlib.h"

#include <sys/timerfd.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct itimerspec until = { .it_value = { 0, 0 } };
	struct timespec now;
	uint64_t count;
	int fd;

	(void)argv;
	test_start();
	fd = MUST(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
	MUST(clock_gettime(CLOCK_REALTIME, &now));
	until.it_value.tv_sec = now.tv_sec + 5000;
	MUST(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &until, NULL));
	if (argc > 1) {
		/* To the time that it has, or nearly so. */
		MUST(clock_gettime(CLOCK_REALTIME, &now));
		if (clock_settime(CLOCK_REALTIME, &now) < 0)
			test_skip("the clock cannot be set: %s", strerror(errno));
	}
	test_wait();
	EXPECT_EQ(read(fd, &count, sizeof(count)), -1);
	EXPECT(errno == ECANCELED || (argc == 1 && errno == EAGAIN));
	return test_pass();
}
