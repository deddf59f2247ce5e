/* A thread that waits for a completion of an io_uring, while nothing is in flight: the call goes on. */
#include "uring.h"

#include <pthread.h>

static struct uring u;
static volatile int is_waiting, tid;

static void *wait_for_one(void *arg)
{
	tid = (int)syscall(SYS_gettid);
	test_post(&is_waiting, 1);
	EXPECT_EQ(uring_enter(&u, 0, 1), 0);
	return NULL;
}

int main(void)
{
	pthread_t thread;

	test_start();
	EXPECT(uring_set_up(&u, 8, 0, 0));
	EXPECT_EQ(pthread_create(&thread, NULL, wait_for_one, NULL), 0);
	test_await(&is_waiting, 1);
	test_until_asleep(getpid(), tid);
	test_wait();
	uring_nop(&u, 5);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	uring_reap(&u, 5, 0);
	return test_pass();
}
