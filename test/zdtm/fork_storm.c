/*
 * Processes that make others all the time, which end at once: they are collected, or by nobody, or leave a child of
 * their own to the first process of the tree. The tree changes while it is being stopped.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/prctl.h>

enum { STORMS = 4 };

static volatile int *stop;

static void make_and_collect(void)
{
	pid_t pid = MUST(fork());

	if (pid == 0)
		_exit(3);
	EXPECT_EQ(test_reap(pid), 3 << 8);
}

static void make_and_forget(void)
{
	if (MUST(fork()) == 0)
		_exit(4);
}

static void make_orphan(void)
{
	pid_t pid = MUST(fork());

	if (pid == 0) {
		if (MUST(fork()) == 0) {
			usleep(2000);
			_exit(4);
		}
		_exit(3);
	}
	EXPECT_EQ(test_reap(pid), 3 << 8);
	usleep(20000); /* nobody collects them until the end */
}

static void storm(void *arg)
{
	static void (*const acts[STORMS])(void) = { make_and_collect, make_and_collect, make_and_forget, make_orphan };
	const long number = (long)arg;

	if (acts[number] == make_and_forget)
		signal(SIGCHLD, SIG_IGN);
	child_ready();
	while (!*stop)
		acts[number]();
}

int main(void)
{
	pid_t pids[STORMS];
	int left = STORMS, status;

	test_start();
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	stop = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (long i = 0; i < STORMS; i++)
		pids[i] = test_fork(storm, (void *)i);
	test_wait();
	*stop = 1;
	while (left > 0) {
		pid_t pid = MUST(wait(&status));
		bool is_storm = false;

		for (int i = 0; i < STORMS; i++)
			is_storm |= pid == pids[i];
		left -= is_storm;
		EXPECT_EQ(status, is_storm ? 0 : 4 << 8);
	}
	return test_pass();
}
