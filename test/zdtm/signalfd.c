/* signalfd: mask, flags, and a pending signal that is read through it. */
#include "zdtmlib.h"

#include <sys/signalfd.h>

int main(void)
{
	struct signalfd_siginfo info;
	union sigval value = { .sival_int = 31337 };
	sigset_t set;
	int fd, other;

	test_start();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	fd = MUST(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	other = MUST(signalfd(-1, &set, SFD_NONBLOCK));
	MUST(sigqueue(getpid(), SIGRTMIN + 2, value));
	test_wait();
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_EQ(read(other, &info, sizeof(info)), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(read(fd, &info, sizeof(info)), sizeof(info));
	EXPECT_EQ(info.ssi_signo, SIGRTMIN + 2);
	EXPECT_EQ(info.ssi_int, 31337);
	EXPECT_EQ(info.ssi_pid, getpid());
	EXPECT_EQ(read(fd, &info, sizeof(info)), -1);
	MUST(raise(SIGUSR1));
	EXPECT_EQ(read(fd, &info, sizeof(info)), sizeof(info));
	EXPECT_EQ(info.ssi_signo, SIGUSR1);
	EXPECT_EQ(read(other, &info, sizeof(info)), -1);
	return test_pass();
}
