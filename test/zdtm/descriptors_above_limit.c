/* Limits of descriptors that are lower than what is open, soft in one process and hard in its child. */
#include "zdtmlib.h"

#include <sys/resource.h>

enum { COUNT = 100 };

static int fds[COUNT];

static void check(rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(limit.rlim_cur, soft);
	EXPECT_EQ(limit.rlim_max, hard);
	for (int i = 0; i < COUNT; i++)
		EXPECT_EQ(lseek(fds[i], 0, SEEK_CUR), i);
	EXPECT_EQ(dup(0), -1);
	EXPECT_EQ(errno, EMFILE);
	close(2);
	EXPECT_EQ(dup(0), 2);
}

static void child(void *arg)
{
	struct rlimit limit = { .rlim_cur = 10, .rlim_max = 20 };

	(void)arg;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	child_wait();
	check(10, 20);
}

int main(void)
{
	struct rlimit limit;
	pid_t pid;

	test_start();
	for (int i = 0; i < COUNT; i++) {
		fds[i] = MUST(open("file", O_RDWR | O_CREAT, 0600));
		MUST(lseek(fds[i], i, SEEK_SET));
	}
	pid = test_fork(child, NULL);
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 3;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	test_wait();
	check(3, limit.rlim_max);
	test_end_child(pid);
	return test_pass();
}
