/*
 * Who is told about a file: a thread, a process, a group, one that has ended, of several kinds of files; with whose
 * rights it was set; and that it still is told.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

static pid_t tid;
static volatile int stage, got;

static void *listen(void *arg)
{
	sigset_t set;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	tid = gettid();
	test_post(&stage, 1);
	while (sigwaitinfo(&set, &info) < 0)
		EXPECT_EQ(errno, EINTR);
	got = info.si_fd;
	test_post(&stage, 2);
	test_await(&stage, 3);
	return arg;
}

static void set_owner(int fd, int type, pid_t pid, int signal)
{
	struct f_owner_ex owner = { .type = type, .pid = pid };

	MUST(fcntl(fd, F_SETOWN_EX, &owner));
	MUST(fcntl(fd, F_SETSIG, signal));
}

static void expect_owner(int fd, int type, pid_t pid, int signal)
{
	struct f_owner_ex found;

	MUST(fcntl(fd, F_GETOWN_EX, &found));
	EXPECT_EQ(found.type, type);
	EXPECT_EQ(found.pid, pid);
	EXPECT_EQ(fcntl(fd, F_GETSIG), signal);
}

/* The signal is sent with the rights of who has set that, as whom the program may not act any more. */
static void set_owner_as(uid_t uid, uid_t euid, int fd, int type, pid_t pid, int signal)
{
	MUST(setresuid(uid, euid, 0));
	set_owner(fd, type, pid, signal);
	MUST(setresuid(0, 0, 0));
}

static void expect_user(int fd, uid_t uid, uid_t euid)
{
	uid_t found[2];

	MUST(fcntl(fd, F_GETOWNER_UIDS, found));
	EXPECT_EQ(found[0], uid);
	EXPECT_EQ(found[1], euid);
}

static void child(void *arg)
{
	(void)arg;
	child_wait();
}

int main(void)
{
	int pipes[2], file, fifo, event, nobody, space;
	pthread_t thread;
	sigset_t set;
	pid_t pid, ended;

	test_start();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	EXPECT_EQ(pthread_create(&thread, NULL, listen, NULL), 0);
	test_await(&stage, 1);
	pid = test_fork(child, NULL);
	MUST(pipe(pipes));
	file = MUST(open("file", O_RDWR | O_CREAT, 0600));
	MUST(mkfifoat(AT_FDCWD, "fifo", 0600));
	fifo = MUST(open("fifo", O_RDWR | O_NONBLOCK));
	event = MUST(eventfd(0, 0));
	set_owner(pipes[0], F_OWNER_TID, tid, SIGRTMIN + 5);
	MUST(fcntl(pipes[0], F_SETFL, O_ASYNC | O_NONBLOCK));
	set_owner(file, F_OWNER_PID, pid, 0);
	set_owner(fifo, F_OWNER_PGRP, getpgrp(), SIGRTMIN + 6);
	set_owner_as(1234, 5678, event, F_OWNER_TID, gettid(), SIGURG);
	space = MUST(open("/proc/self/ns/net", O_RDONLY));
	set_owner(space, F_OWNER_PID, pid, SIGRTMIN + 2);
	nobody = MUST(eventfd(0, 0));
	ended = test_fork(child, NULL);
	set_owner(nobody, F_OWNER_PID, ended, SIGRTMIN + 7);
	test_end_child(ended);
	expect_owner(nobody, F_OWNER_PID, 0, SIGRTMIN + 7);
	test_wait();
	expect_owner(pipes[0], F_OWNER_TID, tid, SIGRTMIN + 5);
	expect_owner(file, F_OWNER_PID, pid, 0);
	expect_owner(fifo, F_OWNER_PGRP, getpgrp(), SIGRTMIN + 6);
	expect_owner(event, F_OWNER_TID, gettid(), SIGURG);
	expect_user(event, 1234, 5678);
	expect_user(file, 0, 0);
	expect_owner(nobody, F_OWNER_PID, 0, SIGRTMIN + 7);
	expect_owner(space, F_OWNER_PID, pid, SIGRTMIN + 2);
	EXPECT_EQ(write(pipes[1], "x", 1), 1);
	test_await(&stage, 2);
	EXPECT_EQ(got, pipes[0]);
	test_post(&stage, 3);
	test_end_child(pid);
	return test_pass();
}
