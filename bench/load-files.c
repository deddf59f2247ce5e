/*
 * Loads of many open files of one kind. Those that need names make them in the working directory, which whoever started
 * the load empties.
 */
#include "load-files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_named(unsigned long i, char name[32])
{
	int fd;

	(void)snprintf(name, 32, "load.%lu", i);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		die(name);
	return fd;
}

void open_pipes(const unsigned long *sizes)
{
	int ends[2];

	allow_descriptors(2 * sizes[0]);
	for (unsigned long i = 0; i < sizes[0]; i++)
		if (pipe(ends) < 0)
			die("pipe");
}

void open_fifos(const unsigned long *sizes)
{
	char name[32];

	allow_descriptors(sizes[0]);
	for (unsigned long i = 0; i < sizes[0]; i++) {
		(void)snprintf(name, sizeof(name), "load.%lu", i);
		if (mkfifo(name, 0600) < 0 || open(name, O_RDWR | O_NONBLOCK) < 0)
			die(name);
	}
}

void open_events(const unsigned long *sizes)
{
	allow_descriptors(sizes[0]);
	for (unsigned long i = 0; i < sizes[0]; i++)
		if (eventfd((unsigned int)i, 0) < 0)
			die("eventfd");
}

/* Files whose names are gone. */
void open_ghosts(const unsigned long *sizes)
{
	char name[32];

	allow_descriptors(sizes[0]);
	for (unsigned long i = 0; i < sizes[0]; i++) {
		(void)open_named(i, name);
		(void)unlink(name);
	}
}

/* Pidfds of processes that have ended. */
void open_ended(const unsigned long *sizes)
{
	allow_descriptors(sizes[0]);
	for (unsigned long i = 0; i < sizes[0]; i++) {
		pid_t pid = vfork();

		if (pid < 0)
			die("fork");
		if (pid == 0)
			_exit(0);
		if (syscall(SYS_pidfd_open, pid, 0) < 0 || waitpid(pid, NULL, 0) < 0)
			die("pidfd_open");
	}
}

/* One inotify instance. */
void watch_files(const unsigned long *sizes)
{
	int fd = inotify_init();
	char name[32];

	for (unsigned long i = 0; i < sizes[0]; i++) {
		(void)close(open_named(i, name));
		if (inotify_add_watch(fd, name, IN_CLOSE_WRITE) < 0)
			die("inotify_add_watch");
	}
}

/* Bytes of one file. */
void lock_ranges(const unsigned long *sizes)
{
	char name[32];
	int fd = open_named(0, name);

	for (unsigned long i = 0; i < sizes[0]; i++) {
		struct flock lock = { .l_type = F_WRLCK, .l_start = (off_t)(2 * i), .l_len = 1 };

		if (fcntl(fd, F_SETLK, &lock) < 0)
			die("lock");
	}
}

/* Files, each as a whole. */
void lock_files(const unsigned long *sizes)
{
	char name[32];

	allow_descriptors(sizes[0]);
	for (unsigned long i = 0; i < sizes[0]; i++)
		if (flock(open_named(i, name), LOCK_EX) < 0)
			die("flock");
}

static void add_event(int epoll)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = eventfd(0, 0);

	event.data.fd = fd;
	if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

/* One epoll that watches them all. */
void poll_events(const unsigned long *sizes)
{
	int epoll;

	allow_descriptors(sizes[0]);
	epoll = epoll_create1(0);
	for (unsigned long i = 0; i < sizes[0]; i++)
		add_event(epoll);
}

/* The same, where each has another number than that under which it is watched, which is another's. */
void poll_moved(const unsigned long *sizes)
{
	int epoll, first;

	allow_descriptors(sizes[0] + 8);
	epoll = epoll_create1(0);
	first = dup(0);
	for (unsigned long i = 1; i < sizes[0]; i++)
		(void)dup(0);
	for (int fd = first; fd < first + (int)sizes[0]; fd++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
		int moved = eventfd(0, 0);

		if (moved < 0 || dup2(moved, fd) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ||
		    dup2(0, fd) < 0)
			die("epoll_ctl");
	}
}
