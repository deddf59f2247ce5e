/* A lease that somebody else's open(2) is breaking: it has no state that could be kept, and the refusal says so. */
#include "zdtmlib.h"

static void try_to_open(void *arg)
{
	(void)arg;
	EXPECT_EQ(open("leased", O_WRONLY | O_NONBLOCK), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
	child_wait();
}

int main(void)
{
	pid_t pid;
	int fd;

	test_start();
	MUST(signal(SIGIO, SIG_IGN) == SIG_ERR ? -1 : 0);
	fd = MUST(open("leased", O_CREAT | O_RDONLY, 0600));
	MUST(fcntl(fd, F_SETLEASE, F_RDLCK));
	pid = test_fork(try_to_open, NULL);
	test_wait();
	EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	test_end_child(pid);
	return test_pass();
}
