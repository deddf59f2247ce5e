/*
 * What has no path and was opened with O_PATH by its link in /proc: it is refused, for opened again it would be the
 * object itself, or nothing.
 */
#include "zdtmlib.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

static int make(const char *what)
{
	int ends[2];

	if (!strcmp(what, "epoll"))
		return MUST(epoll_create1(0));
	if (!strcmp(what, "inotify"))
		return MUST(inotify_init1(IN_NONBLOCK));
	MUST(pipe(ends));
	return ends[0];
}

int main(int argc, char **argv)
{
	char path[64];
	int fd, handle;

	test_start();
	fd = make(argc > 1 ? argv[1] : "pipe");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	handle = MUST(open(path, O_PATH));
	test_wait();
	EXPECT_EQ(fcntl(handle, F_GETFL) & O_PATH, O_PATH);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_PATH, 0);
	return test_pass();
}
