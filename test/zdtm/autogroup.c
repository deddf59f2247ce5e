/* The nice value of a session's scheduling group (/proc/PID/autogroup): of the root's and of a child's session. */
#include "zdtmlib.h"

static int read_nice(void)
{
	const char *text = test_slurp("/proc/self/autogroup"), *nice = text ? strstr(text, "nice") : NULL;

	if (!nice)
		test_skip("no autogroup");
	return atoi(nice + 5);
}

static void put(const char *text)
{
	int fd = MUST(open("/proc/self/autogroup", O_WRONLY));

	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void child(void *arg)
{
	MUST(setsid());
	put("7");
	child_wait();
	EXPECT_EQ(read_nice(), 7);
	(void)arg;
}

int main(void)
{
	pid_t pid;

	test_start();
	(void)read_nice();
	pid = test_fork(child, NULL);
	put("-4");
	test_wait();
	EXPECT_EQ(read_nice(), -4);
	test_end_child(pid);
	return test_pass();
}
