/*
 * A thread sleeps until its process has used a second of processor time, of which half has been used when the dump
 * comes. The rest counts, whatever time passes on other clocks.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <time.h>

#define SPAN_NS    1000000000ll
#define GRANTED_NS 400000000ll

static volatile int awake;

static void *sleep_for_processor_time(void *arg)
{
	const struct timespec span = { .tv_sec = SPAN_NS / 1000000000 };

	(void)arg;
	EXPECT_EQ(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &span, NULL), 0);
	awake = 1;
	return NULL;
}

static long long used_ns(void)
{
	struct timespec now;

	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now));
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

int main(void)
{
	long long begin, before;
	pthread_t thread;

	test_start();
	begin = used_ns();
	EXPECT_EQ(pthread_create(&thread, NULL, sleep_for_processor_time, NULL), 0);
	while (used_ns() - begin < SPAN_NS / 2)
		;
	before = used_ns() - begin;
	test_wait();
	EXPECT_EQ(awake, 0);
	begin = used_ns();
	while (!awake && used_ns() - begin < 2 * SPAN_NS)
		;
	before += used_ns() - begin;
	/* What waiting for the word costs counts too, and is not seen here. */
	if (before < SPAN_NS - GRANTED_NS || before > SPAN_NS + GRANTED_NS)
		FAIL("came back after %.3f s of processor time instead of 1", before / 1e9);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	return test_pass();
}
