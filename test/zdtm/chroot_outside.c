/*
 * Root directories that do not hold what their process has: a working directory and files outside of the root, open
 * files of /proc where there is no /proc, a root that was removed, a root in a root. Each has a umask of its own.
 */
#include "zdtmlib.h"

#include <sys/stat.h>

static void in_removed_root(void *arg)
{
	struct stat st;

	(void)arg;
	MUST(mkdir("removed", 0711));
	MUST(chroot("removed"));
	MUST(rmdir("removed"));
	MUST(chdir("/"));
	umask(0123);
	child_wait();
	EXPECT_EQ(umask(0), 0123);
	MUST(stat("/", &st));
	EXPECT_EQ(st.st_nlink, 0);
	EXPECT_EQ(st.st_mode & 07777, 0711);
	MUST(stat("..", &st));
	EXPECT_EQ(st.st_nlink, 0);
	EXPECT_EQ(mkdir("/new", 0700), -1);
	EXPECT_EQ(errno, ENOENT);
}

static void in_inner_root(void *arg)
{
	char found[64];
	int fd;

	(void)arg;
	MUST(mkdir("outer", 0700));
	MUST(mkdir("outer/inner", 0700));
	MUST(mkdir("outer/inner/work", 0700));
	MUST(chroot("outer"));
	MUST(chdir("/inner"));
	MUST(chroot("/inner"));
	MUST(chdir("work"));
	fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(fd, "text", 4), 4);
	umask(0777);
	child_wait();
	EXPECT_EQ(umask(0), 0777);
	EXPECT_STR(getcwd(found, sizeof(found)), "/work");
	EXPECT_EQ(access("/work/file", F_OK), 0);
	EXPECT_EQ(access("/inner", F_OK), -1);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 4);
}

int main(void)
{
	char found[256];
	int outside, status, directory;
	struct stat st;
	pid_t pids[2];

	test_start();
	pids[0] = test_fork(in_removed_root, NULL);
	pids[1] = test_fork(in_inner_root, NULL);
	outside = MUST(open("outside", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(outside, "outside", 7), 7);
	status = MUST(open("/proc/self/status", O_RDONLY));
	directory = MUST(open("/", O_PATH));
	MUST(mkdir("jail", 0700));
	MUST(chroot("jail"));
	umask(031);
	test_wait();
	EXPECT_EQ(umask(0), 031);
	EXPECT(syscall(SYS_getcwd, found, sizeof(found)) > 0);
	EXPECT(!strncmp(found, "(unreachable)/", 14));
	EXPECT_EQ(access("outside", F_OK), 0);
	EXPECT_EQ(access("/outside", F_OK), -1);
	MUST(stat("/", &st));
	EXPECT_EQ(st.st_nlink, 2);
	EXPECT_EQ(pread(outside, found, 7, 0), 7);
	EXPECT_MEM(found, "outside", 7);
	EXPECT_EQ(read(status, found, 5), 5);
	EXPECT_MEM(found, "Name:", 5);
	EXPECT_EQ(faccessat(directory, "proc/self", F_OK, 0), 0);
	test_end_child(pids[0]);
	test_end_child(pids[1]);
	return test_pass();
}
