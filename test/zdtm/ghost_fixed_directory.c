/* Deleted files in directories that chattr(1) has made immutable or append-only since: they are made again above. */
#include "zdtmlib.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static int set_flags(const char *directory, int flags)
{
	int fd = MUST(open(directory, O_RDONLY | O_DIRECTORY)), r = ioctl(fd, FS_IOC_SETFLAGS, &flags);

	MUST(close(fd));
	return r;
}

static int make_ghost(const char *directory, int flags)
{
	char name[64];
	int fd;

	MUST(mkdir(directory, 0700));
	(void)snprintf(name, sizeof(name), "%s/file", directory);
	fd = MUST(open(name, O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(fd, directory, strlen(directory)), strlen(directory));
	MUST(unlink(name));
	if (set_flags(directory, flags) < 0)
		test_skip("no inode flags here: %s", strerror(errno));
	return fd;
}

static void expect_ghost(int fd, const char *directory)
{
	char found[64] = "";
	struct stat st;

	EXPECT_EQ(pread(fd, found, sizeof(found), 0), strlen(directory));
	EXPECT_STR(found, directory);
	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_nlink, 0);
	MUST(set_flags(directory, 0));
	MUST(rmdir(directory));
}

int main(void)
{
	int immutable, append;

	test_start();
	immutable = make_ghost("immutable", FS_IMMUTABLE_FL);
	append = make_ghost("append", FS_APPEND_FL);
	test_wait();
	expect_ghost(immutable, "immutable");
	expect_ghost(append, "append");
	return test_pass();
}
