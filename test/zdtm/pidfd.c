/* Process descriptors: of itself, of a child that runs, of one that has ended. */
#include "zdtmlib.h"

#include <poll.h>

static void child(void *arg)
{
	(void)arg;
	child_wait();
}

int main(void)
{
	struct pollfd entry = { .events = POLLIN };
	int self, running, ended;
	siginfo_t info;
	pid_t pids[2];

	test_start();
	pids[0] = test_fork(child, NULL);
	pids[1] = MUST(fork());
	if (pids[1] == 0)
		_exit(3);
	self = MUST(syscall(SYS_pidfd_open, getpid(), 0));
	running = MUST(syscall(SYS_pidfd_open, pids[0], 0));
	ended = MUST(syscall(SYS_pidfd_open, pids[1], 0));
	MUST(waitid(P_PID, pids[1], &info, WEXITED | WNOWAIT));
	test_wait();
	MUST(syscall(SYS_pidfd_send_signal, self, 0, NULL, 0));
	entry.fd = running;
	EXPECT_EQ(poll(&entry, 1, 0), 0);
	entry.fd = ended;
	EXPECT_EQ(poll(&entry, 1, 0), 1);
	EXPECT_EQ(test_reap(pids[1]), 3 << 8);
	MUST(syscall(SYS_pidfd_send_signal, running, SIGTERM, NULL, 0));
	EXPECT_EQ(test_reap(pids[0]), 0);
	return test_pass();
}
