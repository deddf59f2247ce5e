/*
 * Open namespaces, those the process lives in, with flags of their own; with the argument "time" after it went into a
 * time namespace of its own, which another one takes the place of.
 */
#include "zdtmlib.h"

#include <sys/stat.h>

#define NEW_TIME 0x80

static void enter_time_namespace(void)
{
	int fd;

	if (unshare(NEW_TIME) < 0)
		test_skip("no time namespaces: %s", strerror(errno));
	fd = MUST(open("/proc/self/ns/time_for_children", O_RDONLY));
	MUST(setns(fd, NEW_TIME));
	MUST(close(fd));
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "net", "mnt", "pid", "uts", "ipc", "user", "cgroup", "time" };
	enum { COUNT = sizeof(names) / sizeof(names[0]) };
	struct stat before[COUNT], now;
	int fds[COUNT];
	char path[64];

	const bool has_own_time = argc > 1 && strcmp(argv[1], "time") == 0;

	test_start();
	if (has_own_time)
		enter_time_namespace();
	for (int i = 0; i < COUNT; i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		fds[i] = open(path, O_RDONLY | (i % 2 ? O_NONBLOCK : O_SYNC));
		if (fds[i] >= 0)
			MUST(fstat(fds[i], &before[i]));
	}
	test_wait();
	for (int i = 0; i < COUNT; i++) {
		if (fds[i] < 0)
			continue;
		EXPECT_EQ(fcntl(fds[i], F_GETFL) & (O_NONBLOCK | O_SYNC), i % 2 ? O_NONBLOCK : O_SYNC);
		MUST(fstat(fds[i], &now));
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (!has_own_time || strcmp(names[i], "time") != 0)
			EXPECT_EQ(now.st_ino, before[i].st_ino);
		MUST(stat(path, &before[i]));
		EXPECT_EQ(now.st_ino, before[i].st_ino);
	}
	return test_pass();
}
