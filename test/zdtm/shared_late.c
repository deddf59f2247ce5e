/*
 * Open files that need other processes to be there, each one description in three processes and by two numbers: pidfds
 * (of a child, of the process itself, of its first thread, of one that ended), files and directories of /proc/PID with
 * their places, namespaces. kcmp(2) says that they are shared, and so do the places.
 */
#include "zdtmlib.h"

#include <dirent.h>
#include <linux/kcmp.h>
#include <poll.h>

#define PIDFD_NONBLOCK O_NONBLOCK
#define PIDFD_THREAD   O_EXCL

enum { CHILD, SELF, THREAD, DEAD, MAPS, TASKS, STATUS, NET, PATH, COUNT };

static int fds[COUNT], copies[COUNT];

static void child(void *arg)
{
	(void)arg;
	child_wait();
}

static void reader(void *arg)
{
	char text[8];

	(void)arg;
	child_wait();
	EXPECT_EQ(read(fds[STATUS], text, 5), 5);
	EXPECT_MEM(text, ":\tsha", 5);
}

static int open_pidfd(pid_t pid, unsigned int flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static void expect_shared(pid_t a, pid_t b)
{
	pid_t self = getpid();

	for (int i = 0; i < COUNT; i++) {
		if (fds[i] < 0)
			continue;
		EXPECT_EQ(syscall(SYS_kcmp, self, a, KCMP_FILE, fds[i], fds[i]), 0);
		EXPECT_EQ(syscall(SYS_kcmp, self, b, KCMP_FILE, fds[i], copies[i]), 0);
		EXPECT_EQ(syscall(SYS_kcmp, self, self, KCMP_FILE, fds[i], copies[i]), 0);
	}
	EXPECT(syscall(SYS_kcmp, self, self, KCMP_FILE, fds[CHILD], fds[SELF]) > 0);
}

int main(void)
{
	char maps[4096], text[300];
	struct pollfd poll_fd = { .events = POLLIN };
	ssize_t n;
	off_t maps_at, tasks_at;
	pid_t first, second, dead;

	test_start();
	first = test_fork(child, NULL);
	dead = MUST(fork());
	if (dead == 0)
		_exit(0);
	fds[CHILD] = MUST(open_pidfd(first, PIDFD_NONBLOCK));
	fds[SELF] = MUST(open_pidfd(getpid(), 0));
	fds[DEAD] = MUST(open_pidfd(dead, 0));
	MUST(waitpid(dead, NULL, 0));
	fds[THREAD] = open_pidfd(getpid(), PIDFD_THREAD); /* 6.9 */
	fds[MAPS] = MUST(open("/proc/self/maps", O_RDONLY));
	n = MUST(read(fds[MAPS], maps, 100));
	maps_at = MUST(lseek(fds[MAPS], 0, SEEK_CUR));
	fds[TASKS] = MUST(open("/proc/self/task", O_RDONLY | O_DIRECTORY));
	MUST(syscall(SYS_getdents64, fds[TASKS], text, 60));
	tasks_at = MUST(lseek(fds[TASKS], 0, SEEK_CUR));
	fds[STATUS] = MUST(open("/proc/self/status", O_RDONLY));
	EXPECT_EQ(read(fds[STATUS], text, 4), 4);
	fds[NET] = MUST(open("/proc/self/ns/net", O_RDONLY));
	fds[PATH] = MUST(open("/proc/self/fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC));
	for (int i = 0; i < COUNT; i++)
		copies[i] = fds[i] < 0 ? -1 : MUST(dup(fds[i]));
	/* Both inherit all of them; what is read in one moves the place in all. */
	second = test_fork(reader, NULL);
	{
		pid_t third = test_fork(child, NULL);

		expect_shared(second, third);
		test_wait();
		expect_shared(second, third);
		test_end_child(third);
	}
	test_end_child(second);
	EXPECT_EQ(read(fds[STATUS], text, 3), 3);
	EXPECT_MEM(text, "red", 3);
	EXPECT_EQ(lseek(copies[MAPS], 0, SEEK_CUR), maps_at);
	EXPECT_EQ(n, maps_at);
	EXPECT_EQ(lseek(fds[TASKS], 0, SEEK_CUR), tasks_at);
	EXPECT_EQ(fcntl(fds[CHILD], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_EQ(fcntl(fds[PATH], F_GETFD), FD_CLOEXEC);
	poll_fd.fd = fds[DEAD];
	EXPECT_EQ(poll(&poll_fd, 1, 0), 1);
	poll_fd.fd = copies[CHILD];
	EXPECT_EQ(poll(&poll_fd, 1, 0), 0);
	if (fds[THREAD] >= 0)
		EXPECT_EQ(fcntl(copies[THREAD], F_GETFL) & PIDFD_THREAD, PIDFD_THREAD);
	EXPECT_EQ(syscall(SYS_pidfd_send_signal, fds[CHILD], SIGTERM, NULL, 0), 0);
	EXPECT_EQ(poll(&poll_fd, 1, 60000), 1);
	EXPECT_EQ(test_reap(first), 0);
	return test_pass();
}
