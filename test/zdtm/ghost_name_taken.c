/*
 * Names that others have taken: of a file, of a directory, of the directory above, by a file, a directory and a
 * dangling link; and a name as long as names can be. What is there is left alone.
 */
#include "zdtmlib.h"

#include <sys/stat.h>

static int make(const char *name)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_EXCL, 0600));

	EXPECT_EQ(write(fd, name, 4), 4);
	MUST(unlink(name));
	return fd;
}

static void expect(int fd, const char *text)
{
	char found[4];

	EXPECT_EQ(pread(fd, found, 4, 0), 4);
	EXPECT_MEM(found, text, 4);
}

static ino_t number(const char *name)
{
	struct stat st;

	MUST(lstat(name, &st));
	return st.st_ino;
}

int main(void)
{
	static const char *const takers[] = { "file", "above", "level", "directory", "dangling" };
	int file, above, level, directory, dangling, long_one;
	char long_name[256];
	ino_t before[5];
	struct stat st;

	test_start();
	file = make("file");
	close(MUST(open("file", O_WRONLY | O_CREAT, 0600)));
	MUST(mkdir("above", 0700));
	above = make("above/deep");
	MUST(rmdir("above"));
	close(MUST(open("above", O_WRONLY | O_CREAT, 0600)));
	MUST(mkdir("level", 0700));
	MUST(mkdir("level/one", 0700));
	level = make("level/one/two");
	MUST(rmdir("level/one"));
	MUST(rmdir("level"));
	MUST(mkdir("level", 0700));
	close(MUST(open("level/one", O_WRONLY | O_CREAT, 0600)));
	MUST(mkdir("directory", 0700));
	directory = MUST(open("directory", O_RDONLY | O_DIRECTORY));
	MUST(rmdir("directory"));
	MUST(mkdir("directory", 0700));
	MUST(mkdir("dangling", 0700));
	dangling = make("dangling/deep");
	MUST(rmdir("dangling"));
	MUST(symlink("nowhere", "dangling"));
	memset(long_name, 'n', 255);
	long_name[255] = 0;
	long_one = make(long_name);
	for (int i = 0; i < 5; i++)
		before[i] = number(takers[i]);
	test_wait();
	expect(file, "file");
	expect(above, "abov");
	expect(level, "leve");
	expect(dangling, "dang");
	expect(long_one, "nnnn");
	MUST(fstat(directory, &st));
	EXPECT(S_ISDIR(st.st_mode) && st.st_nlink == 0);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(number(takers[i]), before[i]);
	EXPECT_EQ(access("nowhere", F_OK), -1);
	return test_pass();
}
