/*
 * Processor time that was used counts anew after a restore, which a warning tells where it is limited; what is left of
 * an interval timer and of POSIX timers on it stays, also where they wait for a point in that time.
 */
#include "zdtmlib.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#define LEFT_S 1000

static int64_t read_clock_ns(clockid_t clock)
{
	struct timespec now;

	MUST(clock_gettime(clock, &now));
	return now.tv_sec * 1000000000l + now.tv_nsec;
}

/* It expires when so much more time has been used. */
static int start_timer(clockid_t clock)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	const int64_t at = read_clock_ns(clock) + LEFT_S * 1000000000l;
	const struct itimerspec set = { .it_value = { at / 1000000000, at % 1000000000 } };
	int id = -1;

	MUST(syscall(SYS_timer_create, clock, &event, &id));
	MUST(syscall(SYS_timer_settime, id, TIMER_ABSTIME, &set, NULL));
	return id;
}

static void check_timer(int id)
{
	struct itimerspec left;

	MUST(syscall(SYS_timer_gettime, id, &left));
	if (left.it_value.tv_sec < LEFT_S - 5 || left.it_value.tv_sec >= LEFT_S)
		FAIL("a timer of %d s has %ld left", LEFT_S, left.it_value.tv_sec);
}

int main(void)
{
	const struct itimerval set = { .it_value = { LEFT_S, 0 } };
	const struct rlimit limit = { 500, 600 };
	struct itimerval left;
	struct rlimit now;
	int ids[2];

	test_start();
	while (read_clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 1300000000l)
		;
	MUST(setrlimit(RLIMIT_CPU, &limit));
	MUST(setitimer(ITIMER_PROF, &set, NULL));
	MUST(setitimer(ITIMER_VIRTUAL, &set, NULL));
	ids[0] = start_timer(CLOCK_PROCESS_CPUTIME_ID);
	ids[1] = start_timer(CLOCK_THREAD_CPUTIME_ID);
	test_wait();
	for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
		MUST(getitimer(which, &left));
		if (left.it_value.tv_sec < LEFT_S - 5 || left.it_value.tv_sec > LEFT_S)
			FAIL("interval timer %d has %ld of %d s left", which, left.it_value.tv_sec, LEFT_S);
	}
	check_timer(ids[0]);
	check_timer(ids[1]);
	MUST(getrlimit(RLIMIT_CPU, &now));
	EXPECT_EQ(now.rlim_cur, 500);
	EXPECT_EQ(now.rlim_max, 600);
	return test_pass();
}
