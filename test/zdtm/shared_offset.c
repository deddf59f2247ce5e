/* One open file under several descriptors (dup) and in a child: one offset for all; a second open of the file has its
 * own. */
#include "zdtmlib.h"

static int fd, copy, other;

static void child(void *arg)
{
	(void)arg;
	child_wait();
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 10);
	EXPECT_EQ(write(fd, "child", 5), 5);
	EXPECT_EQ(lseek(other, 0, SEEK_CUR), 3);
}

int main(void)
{
	pid_t pid;

	test_start();
	fd = MUST(open("data", O_RDWR | O_CREAT, 0600));
	copy = MUST(dup(fd));
	other = MUST(open("data", O_RDWR));
	pid = test_fork(child, NULL);
	EXPECT_EQ(write(fd, "parent", 6), 6);
	MUST(lseek(other, 3, SEEK_SET));
	test_wait();
	EXPECT_EQ(lseek(copy, 0, SEEK_CUR), 6);
	MUST(lseek(copy, 4, SEEK_CUR));
	test_end_child(pid);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 15);
	EXPECT_EQ(lseek(copy, 0, SEEK_CUR), 15);
	EXPECT_EQ(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, copy), 0);
	EXPECT(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, other) != 0);
	return test_pass();
}
