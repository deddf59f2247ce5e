/*
 * Files of /proc whose process has ended: open, of the same kind, and with nothing to read. With the argument "zombie"
 * one of a process that has ended and was not waited for, which cannot be opened any more; with "halfway" one that was
 * read before, the rest of which the kernel still has.
 */
#include "zdtmlib.h"

#include <sys/stat.h>

static void child(void *arg)
{
	(void)arg;
	child_wait();
}

static int wait_with_zombie(void)
{
	pid_t pid = test_fork(child, NULL);
	siginfo_t info;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	MUST(open(path, O_RDONLY));
	MUST(kill(pid, SIGTERM));
	MUST(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	test_wait();
	EXPECT_EQ(test_reap(pid), 0);
	return test_pass();
}

static int wait_with_rest(void)
{
	pid_t pid = test_fork(child, NULL);
	char path[64], text[2];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = MUST(open(path, O_RDONLY));
	EXPECT_EQ(read(fd, text, 2), 2);
	test_end_child(pid);
	test_wait();
	EXPECT_EQ(read(fd, text, 2), 2);
	EXPECT_MEM(text, "me", 2);
	return test_pass();
}

int main(int argc, char **argv)
{
	char path[64], link[64], found[64];
	int status, directory;
	struct stat st;
	pid_t pid;

	test_start();
	if (argc > 1)
		return strcmp(argv[1], "halfway") ? wait_with_zombie() : wait_with_rest();
	pid = test_fork(child, NULL);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = MUST(open(path, O_RDONLY));
	snprintf(path, sizeof(path), "/proc/%d", pid);
	directory = MUST(open(path, O_RDONLY | O_DIRECTORY));
	test_end_child(pid);
	test_wait();
	EXPECT_EQ(read(status, found, 5), -1);
	EXPECT_EQ(errno, ESRCH);
	EXPECT_EQ(faccessat(directory, "status", F_OK, 0), -1);
	MUST(fstat(directory, &st));
	EXPECT_EQ(st.st_mode & S_IFMT, S_IFDIR);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", status);
	memset(found, 0, sizeof(found));
	MUST(readlink(link, found, sizeof(found) - 1));
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	EXPECT_STR(found, path);
	EXPECT_EQ(kill(pid, 0), -1);
	return test_pass();
}
