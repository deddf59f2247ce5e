/* Files that were removed while open: contents, holes, owner, mode, one of them under another name still, shared in a
 * tree. */
#include "zdtmlib.h"

#include <sys/stat.h>

static int fd, copy, sparse;

static void child(void *arg)
{
	(void)arg;
	child_wait();
	EXPECT_EQ(pwrite(fd, "child", 5, 5000), 5);
}

int main(void)
{
	static char data[20000], found[20000];
	struct stat st;
	pid_t pid;

	test_start();
	test_pattern(data, sizeof(data), 1);
	fd = MUST(open("ghost", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(fd, data, sizeof(data)), sizeof(data));
	MUST(fchmod(fd, 04751));
	MUST(fchown(fd, 12, 34));
	MUST(fchmod(fd, 04751));
	copy = MUST(open("ghost", O_RDONLY));
	MUST(lseek(fd, 1234, SEEK_SET));
	MUST(unlink("ghost"));
	sparse = MUST(open("sparse", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(pwrite(sparse, "end", 3, 1 << 24), 3);
	MUST(unlink("sparse"));
	pid = test_fork(child, NULL);
	test_wait();
	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_nlink, 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 04751);
	EXPECT_EQ(st.st_uid, 12);
	EXPECT_EQ(st.st_gid, 34);
	EXPECT_EQ(st.st_size, sizeof(data));
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 1234);
	EXPECT_EQ(pread(fd, found, sizeof(found), 0), sizeof(found));
	EXPECT_MEM(found, data, sizeof(data));
	test_end_child(pid);
	EXPECT_EQ(pread(copy, found, 5, 5000), 5);
	EXPECT_MEM(found, "child", 5);
	EXPECT_EQ(access("ghost", F_OK), -1);
	MUST(fstat(sparse, &st));
	EXPECT_EQ(st.st_size, (1 << 24) + 3);
	EXPECT(st.st_blocks < 1000);
	return test_pass();
}
