/*
 * Threads that wait for a completion of an io_uring each, while nothing is in flight: the call goes on. One gives the
 * kernel a signal mask besides, but no limit, another one a point in time.
 */
#include "uring.h"

#include <pthread.h>
#include <time.h>

#ifndef IORING_ENTER_ABS_TIMER
#define IORING_ENTER_ABS_TIMER (1u << 5)
#endif

enum { PLAIN, MASKED, POINT, WAYS };

static struct uring u[WAYS];
static volatile int is_waiting, tids[WAYS];

static int enter(size_t way)
{
	sigset_t mask;
	struct {
		int64_t sec, nsec;
	} until = { 0, 0 };
	struct {
		uint64_t mask;
		uint32_t mask_bytes, least_wait_us;
		uint64_t timeout;
	} arguments = { 0 };
	unsigned int flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	struct timespec now;
	int r;

	if (way == PLAIN)
		return uring_enter(&u[way], 0, 1);
	if (way == MASKED) {
		sigfillset(&mask);
		arguments.mask = (uintptr_t)&mask;
		arguments.mask_bytes = 8;
	} else {
		MUST(clock_gettime(CLOCK_MONOTONIC, &now));
		until.sec = now.tv_sec + 1000;
		arguments.timeout = (uintptr_t)&until;
		flags |= IORING_ENTER_ABS_TIMER;
	}
	r = (int)syscall(SYS_io_uring_enter, u[way].fd, 0, 1, flags, &arguments, sizeof(arguments));
	/* Points in time since Linux 6.12. */
	return r < 0 && errno == EINVAL && way == POINT ? uring_enter(&u[way], 0, 1) : r;
}

static void *wait_for_one(void *arg)
{
	const size_t way = (size_t)arg;
	tids[way] = (int)syscall(SYS_gettid);
	test_post(&is_waiting, (int)way + 1);
	EXPECT_EQ(enter(way), 0);
	return NULL;
}

int main(void)
{
	pthread_t threads[WAYS];

	test_start();
	for (size_t way = 0; way < WAYS; way++) {
		EXPECT(uring_set_up(&u[way], 8, 0, 0));
		EXPECT_EQ(pthread_create(&threads[way], NULL, wait_for_one, (void *)way), 0);
		test_await(&is_waiting, (int)way + 1);
		test_until_asleep(getpid(), tids[way]);
	}
	test_wait();
	for (size_t way = 0; way < WAYS; way++) {
		uring_nop(&u[way], 5);
		EXPECT_EQ(pthread_join(threads[way], NULL), 0);
		uring_reap(&u[way], 5, 0);
	}
	return test_pass();
}
