/*
 * Processes that are mostly in a vfork, whose child takes its time until it executes something: they stop only when
 * that has happened. One does it from a thread beside the first.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/mman.h>

static volatile int *stop;

static void *run_programs(void *arg)
{
	(void)arg;
	while (!*stop) {
		pid_t pid = vfork();

		if (pid == 0) {
			usleep(60000);
			execl("/bin/sh", "sh", "-c", "exit 7", NULL);
			_exit(127);
		}
		EXPECT(pid > 0);
		EXPECT_EQ(test_reap(pid), 7 << 8);
	}
	return NULL;
}

static void first_thread(void *arg)
{
	child_ready();
	run_programs(arg);
}

static void other_thread(void *arg)
{
	pthread_t thread;

	EXPECT_EQ(pthread_create(&thread, NULL, run_programs, arg), 0);
	child_ready();
	EXPECT_EQ(pthread_join(thread, NULL), 0);
}

int main(void)
{
	pid_t first, other;

	test_start();
	stop = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	first = test_fork(first_thread, NULL);
	other = test_fork(other_thread, NULL);
	test_wait();
	*stop = 1;
	EXPECT_EQ(test_reap(first), 0);
	EXPECT_EQ(test_reap(other), 0);
	return test_pass();
}
