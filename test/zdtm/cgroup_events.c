/*
 * A file of a cgroup that tells by poll(2) of its changes: it may tell of one that was not, until it is read again, but
 * then of each one that is.
 */
#include "zdtmlib.h"

#include <linux/magic.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static char directory[256];

static void make_cgroup(void)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		if (statfs(roots[i], &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		snprintf(directory, sizeof(directory), "%s/zdtm-events.XXXXXX", roots[i]);
		if (mkdtemp(directory))
			return;
	}
	test_skip("no cgroup can be made");
}

static bool is_told(int fd, int wait_ms)
{
	struct pollfd polled = { .fd = fd, .events = POLLPRI };

	MUST(poll(&polled, 1, wait_ms));
	return polled.revents & POLLPRI;
}

static bool is_reported(int epoll)
{
	struct epoll_event event;

	return MUST(epoll_wait(epoll, &event, 1, 0)) > 0;
}

static bool is_populated(int fd)
{
	char text[256] = "";

	MUST(pread(fd, text, sizeof(text) - 1, 0));
	return strstr(text, "populated 1");
}

static void populate(pid_t child)
{
	char path[300], text[16];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	fd = MUST(open(path, O_WRONLY));
	MUST(write(fd, text, (size_t)snprintf(text, sizeof(text), "%d", child)));
	MUST(close(fd));
}

int main(void)
{
	struct epoll_event event = { .events = EPOLLPRI };
	char path[300];
	int fd, epoll;
	pid_t child;

	test_start();
	make_cgroup();
	snprintf(path, sizeof(path), "%s/cgroup.events", directory);
	fd = MUST(open(path, O_RDONLY));
	epoll = MUST(epoll_create1(0));
	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	EXPECT(!is_populated(fd));
	EXPECT(!is_told(fd, 0));
	test_wait();
	EXPECT(!is_populated(fd));
	EXPECT(!is_told(fd, 0));
	EXPECT(!is_reported(epoll));
	child = MUST(fork());
	while (child == 0)
		pause();
	populate(child);
	EXPECT(is_told(fd, 5000));
	EXPECT(is_reported(epoll));
	EXPECT(is_populated(fd));
	EXPECT(!is_told(fd, 0));
	MUST(kill(child, SIGKILL));
	test_reap(child);
	MUST(rmdir(directory));
	return test_pass();
}
