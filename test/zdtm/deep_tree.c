/* Generations, fifty or as many as the argument says, each the only child of the one before. */
#include "zdtmlib.h"

static long generations = 50;

static void generation(void *arg)
{
	long level = (long)arg;
	pid_t parent = getppid(), pid = 0;
	int on_stack = level * 3;

	if (level < generations)
		pid = test_fork(generation, (void *)(level + 1));
	child_wait();
	EXPECT_EQ(on_stack, level * 3);
	EXPECT_EQ(getppid(), parent);
	if (pid)
		test_end_child(pid);
}

int main(int argc, char **argv)
{
	pid_t pid;

	test_start();
	if (argc > 1)
		generations = atol(argv[1]);
	pid = test_fork(generation, (void *)1L);
	test_wait();
	test_end_child(pid);
	return test_pass();
}
