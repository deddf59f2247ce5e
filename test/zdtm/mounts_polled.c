/*
 * Files of /proc that list mounts, and that are polled: one that has yet to tell of a change tells of it, once, and
 * then of the next one.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const char *const names[] = { "/proc/self/mounts", "/proc/self/mountinfo", "/proc/thread-self/mountinfo" };

enum { LISTS = sizeof(names) / sizeof(names[0]) };

static bool is_told(int fd)
{
	struct pollfd polled = { .fd = fd, .events = POLLPRI };

	MUST(poll(&polled, 1, 0));
	return polled.revents & POLLPRI;
}

static bool is_reported(int epoll)
{
	struct epoll_event event;

	return MUST(epoll_wait(epoll, &event, 1, 0)) > 0;
}

static void change(void)
{
	if (mount("none", "mounted", "tmpfs", 0, NULL) < 0 || umount("mounted") < 0)
		test_skip("cannot mount: %s", strerror(errno));
}

int main(void)
{
	struct epoll_event event = { .events = EPOLLPRI | EPOLLET };
	int fds[LISTS], watched, epoll;
	char text[256];

	test_start();
	MUST(mkdir("mounted", 0700));
	for (int i = 0; i < LISTS; i++) {
		fds[i] = MUST(open(names[i], O_RDONLY));
		MUST(read(fds[i], text, sizeof(text)));
	}
	watched = MUST(open(names[0], O_RDONLY));
	epoll = MUST(epoll_create1(0));
	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, watched, &event));
	change();
	test_wait();
	for (int round = 0; round < 2; round++) {
		EXPECT(is_reported(epoll));
		EXPECT(!is_reported(epoll));
		for (int i = 0; i < LISTS; i++) {
			EXPECT(is_told(fds[i]));
			EXPECT(!is_told(fds[i]));
		}
		change();
	}
	return test_pass();
}
