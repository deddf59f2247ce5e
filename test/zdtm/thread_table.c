/* A thread with a descriptor table of its own (unshare(CLONE_FILES)): refused by name. */
#include "zdtmlib.h"

#include <pthread.h>

static volatile int ready, go;

static void *act(void *arg)
{
	MUST(unshare(CLONE_FILES));
	EXPECT_EQ(dup2(0, 77), 77);
	test_post(&ready, 1);
	test_await(&go, 1);
	EXPECT_EQ(fcntl(77, F_GETFD), 0);
	return arg;
}

int main(void)
{
	pthread_t thread;

	test_start();
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	test_await(&ready, 1);
	test_wait();
	EXPECT_EQ(fcntl(77, F_GETFD), -1);
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	return test_pass();
}
