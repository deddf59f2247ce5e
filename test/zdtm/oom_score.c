/* The out-of-memory score adjustment, the core dump filter and the timer slack as /proc shows and sets them. */
#include "zdtmlib.h"

static void put(const char *path, const char *text)
{
	int fd = MUST(open(path, O_WRONLY));

	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void child(void *arg)
{
	(void)arg;
	put("/proc/self/oom_score_adj", "900");
	put("/proc/self/coredump_filter", "0x7f");
	child_wait();
	EXPECT_STR(test_slurp("/proc/self/oom_score_adj"), "900\n");
	EXPECT_STR(test_slurp("/proc/self/coredump_filter"), "0000007f\n");
}

int main(void)
{
	pid_t pid;

	test_start();
	pid = test_fork(child, NULL);
	put("/proc/self/oom_score_adj", "321");
	put("/proc/self/coredump_filter", "0x1");
	test_wait();
	EXPECT_STR(test_slurp("/proc/self/oom_score_adj"), "321\n");
	EXPECT_STR(test_slurp("/proc/self/coredump_filter"), "00000001\n");
	test_end_child(pid);
	return test_pass();
}
