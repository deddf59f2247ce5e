/* An open directory read halfway, one read to its end, one used with openat(), and descriptors opened with O_PATH
 * (file, directory, symlink). */
#include "zdtmlib.h"

#include <sys/stat.h>

struct entry {
	uint64_t ino, off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static int count_entries(int fd, size_t bytes)
{
	char buffer[4096];
	int count = 0;
	long n = MUST(syscall(SYS_getdents64, fd, buffer, bytes));

	for (long at = 0; at < n; at += ((struct entry *)(buffer + at))->reclen)
		count++;
	return count;
}

int main(void)
{
	int dir, read_all, path_file, path_dir, path_link, fd, first, rest = 0, n;
	char target[64];
	struct stat st;

	test_start();
	MUST(mkdir("d", 0700));
	for (int i = 0; i < 50; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d/%d", i);
		close(MUST(open(name, O_RDWR | O_CREAT, 0600)));
	}
	MUST(symlink("nowhere", "link"));
	dir = MUST(open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	path_file = MUST(open("d/7", O_PATH));
	path_dir = MUST(open("d", O_PATH | O_DIRECTORY));
	path_link = MUST(open("link", O_PATH | O_NOFOLLOW));
	first = count_entries(dir, 512);
	read_all = MUST(open("d", O_RDONLY | O_DIRECTORY));
	EXPECT_EQ(count_entries(read_all, 4096), 52);
	EXPECT_EQ(count_entries(read_all, 4096), 0);
	test_wait();
	while ((n = count_entries(dir, 512)) > 0)
		rest += n;
	EXPECT_EQ(first + rest, 52);
	EXPECT_EQ(count_entries(read_all, 4096), 0);
	MUST(lseek(read_all, 0, SEEK_SET));
	EXPECT_EQ(count_entries(read_all, 4096), 52);
	fd = MUST(openat(path_dir, "new", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(access("d/new", F_OK), 0);
	EXPECT_EQ(read(path_file, target, 1), -1);
	EXPECT_EQ(errno, EBADF);
	EXPECT_EQ(fcntl(path_file, F_GETFL) & O_PATH, O_PATH);
	MUST(fstat(path_link, &st));
	EXPECT(S_ISLNK(st.st_mode));
	n = MUST(readlinkat(path_link, "", target, sizeof(target)));
	EXPECT_EQ(n, 7);
	EXPECT_EQ(fcntl(dir, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(fd, F_GETFD), 0);
	return test_pass();
}
