/* A process with another root directory, an open file below it and its working directory there; a child outside of it.
 */
#include "zdtmlib.h"

#include <sys/stat.h>

static void child(void *arg)
{
	(void)arg;
	child_wait();
	EXPECT_EQ(access("/proc/self/root/jail/deep", F_OK), -1);
	EXPECT_EQ(access("jail/deep/file", F_OK), 0);
}

int main(void)
{
	char found[256];
	pid_t pid;
	int fd;

	test_start();
	MUST(mkdir("jail", 0755));
	MUST(mkdir("jail/deep", 0755));
	pid = test_fork(child, NULL);
	MUST(chroot("jail"));
	MUST(chdir("/deep"));
	fd = MUST(open("/deep/file", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(fd, "inside", 6), 6);
	test_wait();
	EXPECT_STR(getcwd(found, sizeof(found)), "/deep");
	EXPECT_EQ(access("/deep/file", F_OK), 0);
	EXPECT_EQ(access("/proc", F_OK), -1);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 6);
	EXPECT_EQ(pread(fd, found, 6, 0), 6);
	EXPECT_MEM(found, "inside", 6);
	test_end_child(pid);
	return test_pass();
}
