/*
 * Nameless things of all sorts: a temporary file that may still be given a name, a fifo with something in it, a device
 * node, a directory that somebody works in and has open, a file that another one was renamed over, one that is mostly
 * holes, one whose directory is gone too.
 */
#include "zdtmlib.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

static void expect_nameless(int fd, mode_t type)
{
	struct stat st;

	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_mode & S_IFMT, type);
	if (type != S_IFDIR)
		EXPECT_EQ(st.st_nlink, 0);
}

int main(void)
{
	int temporary, fifo, node, directory, replaced, sparse, deep;
	char text[64], name[64];
	struct stat st, before;

	test_start();
	temporary = open(".", O_TMPFILE | O_RDWR, 0640);
	if (temporary < 0)
		test_skip("O_TMPFILE: %s", strerror(errno));
	EXPECT_EQ(write(temporary, "temporary", 9), 9);
	MUST(mkfifo("fifo", 0600));
	fifo = MUST(open("fifo", O_RDWR));
	EXPECT_EQ(write(fifo, "in the fifo", 11), 11);
	MUST(unlink("fifo"));
	MUST(mknod("node", S_IFCHR | 0600, makedev(1, 5)));
	node = open("node", O_RDWR);
	if (node < 0)
		test_skip("device nodes cannot be opened here: %s", strerror(errno));
	MUST(unlink("node"));
	close(MUST(open("replaced", O_RDWR | O_CREAT, 0600)));
	replaced = MUST(open("replaced", O_RDWR));
	EXPECT_EQ(write(replaced, "old", 3), 3);
	deep = MUST(open("new", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(deep, "new", 3), 3);
	close(deep);
	MUST(rename("new", "replaced"));
	sparse = MUST(open("sparse", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(sparse, 1 << 20));
	EXPECT_EQ(pwrite(sparse, "middle", 6, 1 << 19), 6);
	MUST(unlink("sparse"));
	MUST(mkdir("gone", 0700));
	MUST(mkdir("gone/deeper", 0700));
	deep = MUST(open("gone/deeper/file", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(deep, "deep", 4), 4);
	MUST(unlink("gone/deeper/file"));
	MUST(rmdir("gone/deeper"));
	MUST(chdir("gone"));
	MUST(rmdir("../gone"));
	directory = MUST(open(".", O_RDONLY | O_DIRECTORY));
	MUST(fstat(fifo, &before));
	test_wait();
	MUST(fstat(fifo, &st));
	EXPECT_MEM(&st.st_mtim, &before.st_mtim, sizeof(st.st_mtim));
	expect_nameless(temporary, S_IFREG);
	expect_nameless(fifo, S_IFIFO);
	expect_nameless(node, S_IFCHR);
	expect_nameless(replaced, S_IFREG);
	expect_nameless(deep, S_IFREG);
	expect_nameless(directory, S_IFDIR);
	EXPECT_EQ(read(fifo, text, sizeof(text)), 11);
	EXPECT_MEM(text, "in the fifo", 11);
	EXPECT_EQ(read(node, text, sizeof(text)), sizeof(text));
	EXPECT_EQ(text[5], 0);
	EXPECT_EQ(pread(replaced, text, sizeof(text), 0), 3);
	EXPECT_MEM(text, "old", 3);
	EXPECT_EQ(pread(deep, text, sizeof(text), 0), 4);
	EXPECT_EQ(pread(sparse, text, 6, 1 << 19), 6);
	EXPECT_MEM(text, "middle", 6);
	MUST(fstat(sparse, &st));
	EXPECT_EQ(st.st_size, 1 << 20);
	EXPECT(st.st_blocks < 200);
	EXPECT(!getcwd(text, sizeof(text)));
	EXPECT_EQ(pread(temporary, text, sizeof(text), 0), 9);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", temporary);
	snprintf(text, sizeof(text), "/tmp/zdtm-ghost-kinds.%d", getpid());
	(void)unlink(text);
	if (linkat(AT_FDCWD, name, AT_FDCWD, text, AT_SYMLINK_FOLLOW) < 0)
		EXPECT_EQ(errno, EXDEV);
	(void)unlink(text);
	return test_pass();
}
