/* Fifty generations, each the only child of the one before. */
#include "zdtmlib.h"

static void generation(void *arg)
{
	long level = (long)arg;
	pid_t parent = getppid(), pid = 0;
	int on_stack = level * 3;

	if (level < 50)
		pid = test_fork(generation, (void *)(level + 1));
	child_wait();
	EXPECT_EQ(on_stack, level * 3);
	EXPECT_EQ(getppid(), parent);
	if (pid)
		test_end_child(pid);
}

int main(void)
{
	pid_t pid;

	test_start();
	pid = test_fork(generation, (void *)1L);
	test_wait();
	test_end_child(pid);
	return test_pass();
}
