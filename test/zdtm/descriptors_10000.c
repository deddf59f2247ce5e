/* Ten thousand descriptors: of one file by as many descriptions, in steps over numbers up to a high one, with a child.
 */
#include "zdtmlib.h"

#include <sys/resource.h>

enum { COUNT = 10000, FIRST = 10, END = 15010 };

/* Gaps behind every second one. */
static int number(int i)
{
	return FIRST + i + i / 2;
}

static void check(void)
{
	for (int i = 0; i < COUNT; i++) {
		int fd = number(i);

		EXPECT_EQ(fcntl(fd, F_GETFD), i % 3 ? 0 : FD_CLOEXEC);
		EXPECT_EQ(lseek(fd, 0, SEEK_CUR), i / 2 * 2);
		if (i % 2)
			EXPECT_EQ(fcntl(fd + 1, F_GETFD), -1);
	}
}

static void child(void *arg)
{
	(void)arg;
	child_wait();
	check();
}

int main(void)
{
	struct rlimit limit;
	pid_t pid;

	test_start();
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = END;
	if (limit.rlim_cur + 512 > limit.rlim_max)
		test_skip("the hard limit of descriptors is %lu", (unsigned long)limit.rlim_max);
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	close(MUST(open("file", O_WRONLY | O_CREAT, 0600)));
	for (int i = 0; i < COUNT; i++) {
		int fd = i % 2 ? MUST(fcntl(number(i - 1), F_DUPFD, END - 10)) : MUST(open("file", O_RDWR));

		if (fd != number(i)) {
			EXPECT_EQ(dup2(fd, number(i)), number(i));
			close(fd);
		}
		MUST(fcntl(number(i), F_SETFD, i % 3 ? 0 : FD_CLOEXEC));
		MUST(lseek(number(i), i / 2 * 2, SEEK_SET));
	}
	pid = test_fork(child, NULL);
	test_wait();
	check();
	test_end_child(pid);
	return test_pass();
}
