/* A file in a directory that another filesystem was mounted over: no path leads to it, and it has not been deleted. */
#include "zdtmlib.h"

#include <sys/mount.h>
#include <sys/stat.h>

int main(void)
{
	char found[4];
	int fd;

	test_start();
	MUST(mkdir("covered", 0700));
	fd = MUST(open("covered/file", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(fd, "text", 4), 4);
	if (mount("cover", "covered", "tmpfs", 0, NULL) < 0)
		test_skip("mount: %s", strerror(errno));
	test_wait();
	EXPECT_EQ(pread(fd, found, 4, 0), 4);
	EXPECT_MEM(found, "text", 4);
	EXPECT_EQ(access("covered/file", F_OK), -1);
	return test_pass();
}
