/* O_PATH descriptors of all sorts of objects, with a name and without: they lead to the same and read nothing. */
#include "zdtmlib.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { KINDS = 5 };

static const char *const names[KINDS] = { "file", "link", "directory", "fifo", "device" };
static const mode_t types[KINDS] = { S_IFREG, S_IFLNK, S_IFDIR, S_IFIFO, S_IFCHR };

static void make(const char *prefix, int *fds)
{
	char name[64];

	for (int i = 0; i < KINDS; i++) {
		snprintf(name, sizeof(name), "%s%s", prefix, names[i]);
		switch (types[i]) {
		case S_IFLNK:
			MUST(symlink("target", name));
			break;
		case S_IFDIR:
			MUST(mkdir(name, 0700));
			break;
		default:
			MUST(mknod(name, types[i] | 0600, makedev(1, 3)));
		}
		fds[i] = MUST(open(name, O_PATH | O_NOFOLLOW | (i == 2 ? O_DIRECTORY : 0)));
	}
}

int main(void)
{
	int named[KINDS], unnamed[KINDS], flags[2][KINDS];
	char name[64], text[64];
	ino_t inodes[KINDS];
	struct stat st;

	test_start();
	make("named-", named);
	make("unnamed-", unnamed);
	for (int i = 0; i < KINDS; i++) {
		snprintf(name, sizeof(name), "unnamed-%s", names[i]);
		MUST(unlinkat(AT_FDCWD, name, types[i] == S_IFDIR ? AT_REMOVEDIR : 0));
		MUST(fstat(named[i], &st));
		inodes[i] = st.st_ino;
		flags[0][i] = MUST(fcntl(named[i], F_GETFL));
		flags[1][i] = MUST(fcntl(unnamed[i], F_GETFL));
	}
	test_wait();
	for (int i = 0; i < KINDS; i++) {
		MUST(fstat(named[i], &st));
		EXPECT_EQ(st.st_ino, inodes[i]);
		EXPECT_EQ(fcntl(named[i], F_GETFL), flags[0][i]);
		EXPECT_EQ(fcntl(unnamed[i], F_GETFL), flags[1][i]);
		MUST(fstat(unnamed[i], &st));
		EXPECT_EQ(st.st_mode & S_IFMT, types[i]);
		if (types[i] != S_IFDIR)
			EXPECT_EQ(st.st_nlink, 0);
		if (types[i] == S_IFCHR)
			EXPECT_EQ(st.st_rdev, makedev(1, 3));
		EXPECT_EQ(read(named[i], text, 1), -1);
		EXPECT_EQ(errno, EBADF);
		EXPECT_EQ(read(unnamed[i], text, 1), -1);
		EXPECT_EQ(errno, EBADF);
	}
	EXPECT_EQ(readlinkat(named[1], "", text, sizeof(text)), 6);
	EXPECT_EQ(readlinkat(unnamed[1], "", text, sizeof(text)), 6);
	EXPECT_MEM(text, "target", 6);
	return test_pass();
}
