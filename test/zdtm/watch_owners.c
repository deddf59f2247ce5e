/*
 * Who has made an instance of inotify or fanotify: there may be so many of one user, and what is told of others' pids
 * depends on his rights.
 */
#include "zdtmlib.h"

#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define USER 54321
#define MOST 1000 /* instances */

static int find_limit(void)
{
	const char *text = test_slurp("/proc/sys/fs/inotify/max_user_instances");
	const int limit = text ? atoi(text) : 0;

	if (limit <= 0 || limit > MOST)
		test_skip("a user may have %d instances of inotify", limit);
	return limit;
}

/* Descriptors count up: returns the last one, when no more can be had. */
static int make_all(int limit)
{
	const struct rlimit room = { MOST + 64, MOST + 64 };
	int last = -1, fd;

	MUST(setrlimit(RLIMIT_NOFILE, &room));
	for (int i = 0; i < limit; i++) {
		fd = inotify_init1(IN_NONBLOCK);
		if (fd < 0)
			break;
		last = fd;
	}
	EXPECT_EQ(inotify_init1(0), -1);
	EXPECT_EQ(errno, EMFILE);
	return last;
}

static void touch(void)
{
	int fd = MUST(open("watched/file", O_RDWR | O_CREAT, 0666));

	MUST(close(fd));
}

static int next_pid(int fd)
{
	char buffer[4096] __attribute__((aligned(8)));
	const struct fanotify_event_metadata *event = (void *)buffer;
	const ssize_t bytes = read(fd, buffer, sizeof(buffer));

	EXPECT(bytes > 0 && FAN_EVENT_OK(event, bytes));
	return event->pid;
}

static int wait_for_event(int fd)
{
	fd_set set;
	struct timeval limit = { 60, 0 };

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &limit);
}

static pid_t touch_elsewhere(void)
{
	const pid_t pid = MUST(fork());

	if (pid == 0) {
		touch();
		_exit(0);
	}
	EXPECT_EQ(test_reap(pid), 0);
	return pid;
}

static int watch_as(void)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_NONBLOCK, O_RDONLY);

	if (fd < 0)
		test_skip("fanotify_init: %s", strerror(errno));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, "watched"));
	return fd;
}

int main(void)
{
	const int limit = find_limit();
	int roots, mine, last;
	pid_t pid;

	test_start();
	MUST(mkdir("watched", 0777));
	MUST(chmod("watched", 0777));
	touch();
	MUST(chmod("watched/file", 0666));
	roots = watch_as();
	MUST(setresuid(USER, USER, USER));
	MUST(prctl(PR_SET_DUMPABLE, 1));
	mine = watch_as();
	last = make_all(limit);
	pid = touch_elsewhere();
	EXPECT_EQ(next_pid(roots), pid);
	EXPECT_EQ(next_pid(mine), 0);
	test_wait();
	touch();
	EXPECT_EQ(wait_for_event(mine), 1);
	EXPECT_EQ(next_pid(mine), getpid());
	EXPECT_EQ(next_pid(roots), getpid());
	pid = touch_elsewhere();
	EXPECT_EQ(next_pid(roots), pid);
	EXPECT_EQ(next_pid(mine), 0);
	EXPECT_EQ(inotify_init1(0), -1);
	EXPECT_EQ(errno, EMFILE);
	MUST(close(last));
	MUST(inotify_init1(0));
	EXPECT_EQ(inotify_init1(0), -1);
	return test_pass();
}
