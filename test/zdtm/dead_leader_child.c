/* A child whose first thread has ended while a second goes on: refused by name, and goes on. */
#include "zdtmlib.h"

#include <pthread.h>

static pid_t leader;

static void *act(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", leader, leader);
	while (!strstr(test_slurp(path), "State:\tZ"))
		usleep(1000);
	child_wait();
	EXPECT_EQ(getpid(), leader);
	exit(0);
	return arg;
}

static void child(void *arg)
{
	pthread_t thread;

	(void)arg;
	leader = getpid();
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	pthread_exit(NULL);
}

int main(void)
{
	pid_t pid;

	test_start();
	pid = test_fork(child, NULL);
	test_wait();
	test_end_child(pid);
	return test_pass();
}
