/*
 * One deleted inode that was opened through several mounts of its filesystem: under one name in the same directory,
 * under another name in another directory, in a mount that is read-only; a directory likewise. Each is open in the
 * mount it was opened in.
 */
#include "zdtmlib.h"

#include <sys/mount.h>
#include <sys/stat.h>

static const struct {
	const char *path;
	int flags;
} opened[] = {
	{ "all/one/file", O_RDWR },        { "view/file", O_RDWR | O_APPEND }, { "all/two/link", O_RDONLY },
	{ "view/link", O_RDONLY },         { "fixed/link", O_RDONLY },         { "view/file", O_PATH },
	{ "all/one/directory", O_RDONLY }, { "view/directory", O_RDONLY },
};

static void make_mounts(void)
{
	MUST(mkdir("all", 0700));
	MUST(mkdir("view", 0700));
	MUST(mkdir("fixed", 0700));
	if (mount("ghosts", "all", "tmpfs", 0, "mode=700") < 0)
		test_skip("mount: %s", strerror(errno));
	MUST(mkdir("all/one", 0700));
	MUST(mkdir("all/two", 0700));
	MUST(mount("all/one", "view", NULL, MS_BIND, NULL));
	MUST(mount("all/two", "fixed", NULL, MS_BIND, NULL));
	MUST(mount(NULL, "fixed", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
}

static int mount_of(int fd)
{
	struct statx sx;

	MUST(statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx));
	return (int)sx.stx_mnt_id;
}

int main(void)
{
	enum { COUNT = sizeof(opened) / sizeof(*opened), DIRECTORIES = 6 };
	int fds[COUNT], mounts[COUNT];
	struct stat first, st;

	test_start();
	make_mounts();
	close(MUST(open("all/one/file", O_WRONLY | O_CREAT | O_EXCL, 0600)));
	MUST(link("all/one/file", "all/one/link"));
	MUST(link("all/one/file", "all/two/link"));
	MUST(mkdir("all/one/directory", 0700));
	for (int i = 0; i < COUNT; i++) {
		fds[i] = MUST(open(opened[i].path, opened[i].flags));
		mounts[i] = mount_of(fds[i]);
	}
	EXPECT_EQ(write(fds[0], "content", 7), 7);
	MUST(unlink("view/file"));
	MUST(unlink("view/link"));
	MUST(unlink("all/two/link"));
	MUST(rmdir("view/directory"));
	test_wait();
	for (int i = 0; i < COUNT; i++) {
		EXPECT_EQ(mount_of(fds[i]), mounts[i]);
		MUST(fstat(fds[i], &st));
		EXPECT_EQ(st.st_nlink, 0);
		MUST(fstat(fds[i < DIRECTORIES ? 0 : DIRECTORIES], &first));
		EXPECT_EQ(st.st_ino, first.st_ino);
	}
	EXPECT_EQ(write(fds[1], "!", 1), 1);
	MUST(fstat(fds[4], &st));
	EXPECT_EQ(st.st_size, 8);
	EXPECT_EQ(fchmod(fds[4], 0640), -1);
	EXPECT_EQ(errno, EROFS);
	EXPECT_EQ(fchmod(fds[2], 0640), 0);
	EXPECT_EQ(access("view/file", F_OK), -1);
	EXPECT_EQ(access("view/file.cr.1.ghost", F_OK), -1);
	return test_pass();
}
