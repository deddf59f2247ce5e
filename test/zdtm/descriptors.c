/* The descriptor table itself: close-on-exec, high numbers, gaps, closed standard ones, the owner of an O_ASYNC file.
 */
#include "zdtmlib.h"

#include <sys/resource.h>

static void child(void *arg)
{
	(void)arg;
	close(0);
	close(2);
	child_wait();
	EXPECT_EQ(fcntl(0, F_GETFD), -1);
	EXPECT_EQ(fcntl(2, F_GETFD), -1);
	EXPECT_EQ(open("/dev/null", O_RDONLY), 0);
}

int main(void)
{
	static const int numbers[] = { 5, 64, 100, 255, 256, 1000, 1023 };
	struct f_owner_ex owner = { .type = F_OWNER_PID, .pid = getpid() }, found;
	int ends[2], fd;
	pid_t pid;

	test_start();
	fd = MUST(open("data", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	for (int i = 0; i < 7; i++)
		EXPECT_EQ(i % 2 ? dup3(fd, numbers[i], O_CLOEXEC) : dup2(fd, numbers[i]), numbers[i]);
	pid = test_fork(child, NULL);
	MUST(pipe(ends));
	MUST(fcntl(ends[0], F_SETOWN_EX, &owner));
	MUST(fcntl(ends[0], F_SETSIG, SIGRTMIN + 4));
	test_wait();
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < 7; i++)
		EXPECT_EQ(fcntl(numbers[i], F_GETFD), i % 2 ? FD_CLOEXEC : 0);
	for (int i = 0; i < 1024; i++) {
		bool expected = i < 3 || i == fd || i == ends[0] || i == ends[1];

		for (int j = 0; j < 7; j++)
			expected |= numbers[j] == i;
		if ((fcntl(i, F_GETFD) >= 0) != expected)
			FAIL("fd %d: expected %s", i, expected ? "open" : "closed");
	}
	MUST(fcntl(ends[0], F_GETOWN_EX, &found));
	EXPECT_EQ(found.type, F_OWNER_PID);
	EXPECT_EQ(found.pid, getpid());
	EXPECT_EQ(fcntl(ends[0], F_GETSIG), SIGRTMIN + 4);
	test_end_child(pid);
	return test_pass();
}
