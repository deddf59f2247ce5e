/* Regular files: access modes, status flags, offsets (also past the end), owner, and that O_APPEND still appends. */
#include "zdtmlib.h"

#include <sys/stat.h>

static const struct file {
	const char *name;
	int flags;
	off_t offset;
} files[] = {
	{ "read", O_RDONLY, 5 },
	{ "write", O_WRONLY, 100000 },
	{ "both", O_RDWR | O_NONBLOCK, 0 },
	{ "append", O_WRONLY | O_APPEND, 3 },
	{ "sync", O_RDWR | O_SYNC, 1 },
	{ "dsync", O_RDWR | O_DSYNC | O_NOATIME, 2 },
	{ "async", O_RDWR | O_ASYNC, (off_t)1 << 40 },
	{ "large", O_RDWR | O_LARGEFILE, ((off_t)1 << 33) + 7 },
	{ "direct", O_RDWR | O_DIRECT, 4096 },
	{ "nofollow", O_RDWR | O_NOFOLLOW | O_APPEND, 4 },
	{ "everything", O_RDWR | O_NOFOLLOW | O_APPEND | O_NONBLOCK | O_DIRECT | O_SYNC | O_NOATIME, 512 },
	{ "other mode", 3, 0 }, /* neither reading nor writing, for ioctl(2) alone */
};
enum { COUNT = sizeof(files) / sizeof(files[0]) };

int main(void)
{
	int fds[COUNT], flags[COUNT];
	char text[16];

	test_start();
	for (int i = 0; i < COUNT; i++) {
		int fd = MUST(open(files[i].name, O_WRONLY | O_CREAT, 0644));

		EXPECT_EQ(write(fd, "0123456789", 10), 10);
		close(fd);
		fds[i] = MUST(open(files[i].name, files[i].flags));
		if (files[i].flags & O_ASYNC)
			MUST(fcntl(fds[i], F_SETFL, files[i].flags));
		MUST(lseek(fds[i], files[i].offset, SEEK_SET));
		flags[i] = MUST(fcntl(fds[i], F_GETFL));
	}
	test_wait();
	for (int i = 0; i < COUNT; i++) {
		if (fcntl(fds[i], F_GETFL) != flags[i])
			FAIL("%s: expected flags %#o, found %#o", files[i].name, flags[i], fcntl(fds[i], F_GETFL));
		EXPECT_EQ(lseek(fds[i], 0, SEEK_CUR), files[i].offset);
	}
	EXPECT_EQ(read(fds[0], text, 16), 5);
	EXPECT_MEM(text, "56789", 5);
	EXPECT_EQ(write(fds[3], "ab", 2), 2);
	EXPECT_EQ(lseek(fds[3], 0, SEEK_CUR), 12);
	EXPECT_EQ(write(fds[0], "x", 1), -1);
	EXPECT_EQ(errno, EBADF);
	EXPECT_EQ(read(fds[1], text, 1), -1);
	EXPECT_EQ(errno, EBADF);
	return test_pass();
}
