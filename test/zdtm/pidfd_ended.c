/*
 * Pidfds of processes that have ended and were waited for: several of one are still of one, and tell how it ended.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

struct information {
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t exit_code;
};
#define TELL_EXIT (1ULL << 3)
#define GET_INFO  _IOWR(0xFF, 11, struct information)

/* -1: the kernel does not tell. */
static int status_of(int fd)
{
	struct information info = { .mask = TELL_EXIT };

	return ioctl(fd, GET_INFO, &info) < 0 || !(info.mask & TELL_EXIT) ? -1 : info.exit_code;
}

static ino_t inode_of(int fd)
{
	struct stat st;

	MUST(fstat(fd, &st));
	return st.st_ino;
}

static pid_t end(int status, int signal)
{
	pid_t pid = MUST(fork());

	if (pid == 0) {
		(void)kill(getpid(), signal);
		_exit(status);
	}
	return pid;
}

static void expect_ended(int fd)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };

	EXPECT_EQ(poll(&entry, 1, 0), 1);
	EXPECT_EQ(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), -1);
	EXPECT_EQ(errno, ESRCH);
}

int main(void)
{
	int exited, again, killed, exit_status, kill_status;
	pid_t pids[2];

	test_start();
	pids[0] = end(5, 0);
	pids[1] = end(0, SIGKILL);
	exited = MUST(syscall(SYS_pidfd_open, pids[0], 0));
	again = MUST(syscall(SYS_pidfd_open, pids[0], O_NONBLOCK));
	killed = MUST(syscall(SYS_pidfd_open, pids[1], 0));
	EXPECT_EQ(test_reap(pids[0]), 5 << 8);
	EXPECT_EQ(test_reap(pids[1]), SIGKILL);
	exit_status = status_of(exited);
	kill_status = status_of(killed);
	test_wait();
	expect_ended(exited);
	expect_ended(again);
	expect_ended(killed);
	EXPECT_EQ(fcntl(again, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_EQ(status_of(exited), exit_status);
	EXPECT_EQ(status_of(again), exit_status);
	EXPECT_EQ(status_of(killed), kill_status);
	EXPECT_EQ(exit_status == -1 || exit_status == 5 << 8, 1);
	if (exit_status != -1) /* inodes of pidfds mean something since then */
		EXPECT_EQ(inode_of(exited), inode_of(again));
	EXPECT(inode_of(exited) != inode_of(killed) || exit_status == -1);
	return test_pass();
}
