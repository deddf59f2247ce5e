/* A hundred children of one parent, each with a page of its own. */
#include "zdtmlib.h"

static char page[4096];

static void child(void *arg)
{
	pid_t parent = getppid(), self = getpid();

	test_pattern(page, sizeof(page), (long)arg);
	child_wait();
	EXPECT_PATTERN(page, sizeof(page), (long)arg);
	EXPECT_EQ(getppid(), parent);
	EXPECT_EQ(getpid(), self);
}

int main(void)
{
	pid_t pids[100];

	test_start();
	for (long i = 0; i < 100; i++)
		pids[i] = test_fork(child, (void *)i);
	test_wait();
	for (int i = 0; i < 100; i++)
		test_end_child(pids[i]);
	return test_pass();
}
