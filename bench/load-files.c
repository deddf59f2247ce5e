/*
 * Loads of many open files of one kind. Those that need names make them in the working directory, which whoever started
 * the load empties.
 */
#include "load-files.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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

/* Files of which one name is gone and another is not. */
void open_links(const unsigned long *sizes)
{
	char name[32], other[40];

	allow_descriptors(sizes[0]);
	for (unsigned long i = 0; i < sizes[0]; i++) {
		(void)open_named(i, name);
		(void)snprintf(other, sizeof(other), "%s.other", name);
		if (link(name, other) < 0 || unlink(name) < 0)
			die(other);
	}
}

/* Both sides of pseudoterminals. */
void open_terminals(const unsigned long *sizes)
{
	allow_descriptors(2 * sizes[0]);
	for (unsigned long i = 0; i < sizes[0]; i++) {
		int fd = posix_openpt(O_RDWR | O_NOCTTY);

		if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || open(ptsname(fd), O_RDWR | O_NOCTTY) < 0)
			die("pseudoterminal");
	}
}

/* Posix timers that never expire. */
void make_timers(const unsigned long *sizes)
{
	struct itimerspec far = { .it_value.tv_sec = 1000000 };
	timer_t timer;

	for (unsigned long i = 0; i < sizes[0]; i++)
		if (timer_create(CLOCK_MONOTONIC, NULL, &timer) < 0 || timer_settime(timer, 0, &far, NULL) < 0)
			die("timer_create");
}

/* Mappings of one page each, that cannot be one. */
void map_pages(const unsigned long *sizes)
{
	for (unsigned long i = 0; i < sizes[0]; i++) {
		char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED || mprotect(page, 4096, PROT_READ) < 0)
			die("mmap");
		page[4096] = 1;
	}
}

/* Shared memory, each an object of its own. */
void map_objects(const unsigned long *sizes)
{
	for (unsigned long i = 0; i < sizes[0]; i++) {
		char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED)
			die("mmap");
		*page = 1;
	}
}

/* Files, each mapped and closed. */
void map_files(const unsigned long *sizes)
{
	char name[32];

	for (unsigned long i = 0; i < sizes[0]; i++) {
		int fd = open_named(i, name);

		if (ftruncate(fd, 4096) < 0 || mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
			die("mmap");
		(void)close(fd);
	}
}

/* Children that have ended, and were not waited for. */
void leave_zombies(const unsigned long *sizes)
{
	for (unsigned long i = 0; i < sizes[0]; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0)
			_exit(0);
	}
	for (unsigned long i = 0; i < sizes[0]; i++) {
		siginfo_t info;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) < 0)
			die("waitid");
	}
	(void)usleep(100000);
}

/* Signals that wait. */
void queue_signals(const unsigned long *sizes)
{
	const union sigval value = { .sival_int = 1 };
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	for (unsigned long i = 0; i < sizes[0]; i++)
		if (sigqueue(getpid(), SIGRTMIN, value) < 0)
			die("sigqueue");
}
