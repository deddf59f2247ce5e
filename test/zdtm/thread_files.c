/*
 * Files that stand for a thread: pidfds (PIDFD_THREAD), one of them watched by an epoll, and files of /proc. With an
 * argument a child has one, too, which cannot be brought back.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static pid_t tid;

static void sleeper(void)
{
	tid = (pid_t)syscall(SYS_gettid);
	thread_wait();
}

static int open_pidfd(pid_t pid, unsigned int flags)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, flags);

	if (fd < 0 && errno == EINVAL)
		test_skip("no pidfds of threads here");
	return MUST(fd);
}

static int open_proc(const char *format, int flags)
{
	char path[64];

	(void)snprintf(path, sizeof(path), format, (int)getpid(), (int)tid);
	return MUST(open(path, flags));
}

static void expect_alive(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	EXPECT_EQ(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), 0);
	EXPECT_EQ(poll(&poll_fd, 1, 0), 0);
}

static void child(void *arg)
{
	(void)arg;
	child_wait();
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x123456789a };
	int pidfd, copy, leader, epoll, stat, directory;
	char text[64], expected[64];
	pthread_t thread;
	pid_t pid = -1;

	(void)argv;
	test_start();
	thread = test_thread(sleeper);
	pidfd = open_pidfd(tid, PIDFD_THREAD);
	copy = MUST(fcntl(pidfd, F_DUPFD_CLOEXEC, 100));
	leader = open_pidfd(getpid(), PIDFD_THREAD | O_NONBLOCK);
	epoll = MUST(epoll_create1(0));
	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event));
	stat = open_proc("/proc/%d/task/%d/stat", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(read(stat, text, 3), 3);
	directory = open_proc("/proc/%2$d", O_RDONLY | O_DIRECTORY);
	if (argc > 1)
		pid = test_fork(child, NULL);
	test_wait();
	expect_alive(pidfd);
	expect_alive(copy);
	expect_alive(leader);
	EXPECT_EQ(fcntl(pidfd, F_GETFL) & PIDFD_THREAD, PIDFD_THREAD);
	EXPECT_EQ(fcntl(leader, F_GETFL) & (PIDFD_THREAD | O_NONBLOCK), PIDFD_THREAD | O_NONBLOCK);
	EXPECT_EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(stat, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(lseek(stat, 0, SEEK_CUR), 3);
	EXPECT_EQ(pread(stat, text, sizeof(text), 0), sizeof(text));
	(void)snprintf(expected, sizeof(expected), "%d (", (int)tid);
	EXPECT_MEM(text, expected, strlen(expected));
	EXPECT_EQ(faccessat(directory, "status", F_OK, 0), 0);
	EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
	if (pid >= 0)
		test_end_child(pid);
	test_end_thread(thread);
	EXPECT_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
	EXPECT_EQ(event.data.u64, 0x123456789a);
	return test_pass();
}
