/* Open namespaces, those the process lives in, with flags of their own. */
#include "zdtmlib.h"

#include <sys/stat.h>

int main(void)
{
	static const char *const names[] = { "net", "mnt", "pid", "uts", "ipc", "user", "cgroup", "time" };
	enum { COUNT = sizeof(names) / sizeof(names[0]) };
	struct stat before[COUNT], now;
	int fds[COUNT];
	char path[64];

	test_start();
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
		EXPECT_EQ(now.st_ino, before[i].st_ino);
		MUST(stat(path, &before[i]));
		EXPECT_EQ(now.st_ino, before[i].st_ino);
	}
	return test_pass();
}
