/*
 * A child made by a thread that is not the first one, with a signal for its parent's death: that is the end of this
 * thread, which no other thread's child can be told. Refused by name.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/prctl.h>

static volatile int ready, go;
static pid_t pid;

static void child(void *arg)
{
	(void)arg;
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
	child_ready();
	for (;;)
		pause();
}

static void *act(void *arg)
{
	pid = test_fork(child, NULL);
	test_post(&ready, 1);
	test_await(&go, 1);
	return arg;
}

int main(void)
{
	pthread_t thread;

	test_start();
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	test_await(&ready, 1);
	test_wait();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(test_reap(pid), SIGKILL);
	return test_pass();
}
