/* umask and working directory of each process: an inherited one, a changed one, one that was removed (in
 * `removed_cwd`). */
#include "zdtmlib.h"

#include <sys/stat.h>

static char start[512];

static void check(const char *cwd, mode_t mask)
{
	char found[512];

	EXPECT_STR(getcwd(found, sizeof(found)), cwd);
	EXPECT_EQ(umask(0), mask);
}

static void child(void *arg)
{
	char expected[600];

	(void)arg;
	MUST(mkdir("below", 0700));
	MUST(chdir("below"));
	umask(0777);
	snprintf(expected, sizeof(expected), "%s/below", start);
	child_wait();
	check(expected, 0777);
}

static void at_root(void *arg)
{
	(void)arg;
	MUST(chdir("/"));
	child_wait();
	check("/", 0022);
}

int main(void)
{
	pid_t pids[2];

	test_start();
	EXPECT(getcwd(start, sizeof(start)));
	pids[0] = test_fork(child, NULL);
	pids[1] = test_fork(at_root, NULL);
	umask(0135);
	test_wait();
	check(start, 0135);
	test_end_child(pids[0]);
	test_end_child(pids[1]);
	return test_pass();
}
