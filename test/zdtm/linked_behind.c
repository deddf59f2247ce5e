/*
 * A file whose name is gone with the directory it was in, where a symbolic link to another directory stands now.
 * Nothing is made behind that link, which leads to where its owner wants; the file comes back all the same.
 */
#include "zdtmlib.h"

#include <sys/stat.h>

#define BYTES 10000

int main(void)
{
	char data[BYTES], other[BYTES];
	struct stat before, now;
	int fd;

	test_start();
	MUST(mkdir("place", 0700));
	MUST(mkdir("elsewhere", 0700));
	fd = MUST(open("place/file", O_CREAT | O_RDWR, 0600));
	test_pattern(data, BYTES, 3);
	EXPECT_EQ(write(fd, data, BYTES), BYTES);
	MUST(link("place/file", "kept"));
	MUST(unlink("place/file"));
	MUST(rmdir("place"));
	MUST(symlink("elsewhere", "place"));
	MUST(stat("elsewhere", &before));
	test_wait();
	MUST(stat("elsewhere", &now));
	EXPECT_EQ(now.st_mtim.tv_sec, before.st_mtim.tv_sec);
	EXPECT_EQ(now.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	EXPECT_EQ(pread(fd, other, BYTES, 0), BYTES);
	EXPECT_PATTERN(other, BYTES, 3);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), BYTES);
	MUST(fstat(fd, &before));
	MUST(stat("kept", &now));
	EXPECT_EQ(now.st_ino, before.st_ino);
	EXPECT_EQ(now.st_nlink, 1);
	return test_pass();
}
