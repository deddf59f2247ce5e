/* A process whose first thread has ended while a second goes on and reports. */
#include "zdtmlib.h"

#include <pthread.h>

static pid_t leader;

static void *act(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", leader, leader);
	while (!strstr(test_slurp(path), "State:\tZ"))
		usleep(1000);
	test_wait();
	EXPECT_EQ(getpid(), leader);
	EXPECT(gettid() != leader);
	EXPECT(strstr(test_slurp(path), "State:\tZ"));
	exit(test_pass());
	return arg;
}

int main(void)
{
	pthread_t thread;

	test_start();
	leader = getpid();
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	pthread_exit(NULL);
}
