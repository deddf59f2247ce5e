/* Children of one parent, a hundred or as many as the argument says, each with a page of its own. */
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

int main(int argc, char **argv)
{
	const long count = argc > 1 ? atol(argv[1]) : 100;
	pid_t *pids = calloc((size_t)count, sizeof(*pids));

	test_start();
	EXPECT(pids);
	for (long i = 0; i < count; i++)
		pids[i] = test_fork(child, (void *)i);
	test_wait();
	for (long i = 0; i < count; i++)
		test_end_child(pids[i]);
	return test_pass();
}
