/* File locks: flock() shared by a copy, record locks, open file description locks; seen from a second process. */
#include "zdtmlib.h"

#include <sys/file.h>
#include <sys/mman.h>

static void child(void *arg)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100 };
	int fd;

	(void)arg;
	child_wait();
	fd = MUST(open("flock", O_RDWR));
	EXPECT_EQ(flock(fd, LOCK_EX | LOCK_NB), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
	fd = MUST(open("posix", O_RDWR));
	MUST(fcntl(fd, F_GETLK, &lock));
	EXPECT_EQ(lock.l_type, F_WRLCK);
	EXPECT_EQ(lock.l_start, 10);
	EXPECT_EQ(lock.l_len, 20);
	EXPECT_EQ(lock.l_pid, getppid());
	fd = MUST(open("ofd", O_RDWR));
	lock = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
	EXPECT_EQ(fcntl(fd, F_OFD_SETLK, &lock), -1);
	EXPECT_EQ(errno, EAGAIN);
}

int main(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20 };
	int fd, posix, ofd;
	pid_t pid;

	test_start();
	pid = test_fork(child, NULL);
	fd = MUST(open("flock", O_RDWR | O_CREAT, 0600));
	MUST(flock(fd, LOCK_EX));
	posix = MUST(open("posix", O_RDWR | O_CREAT, 0600));
	MUST(fcntl(posix, F_SETLK, &lock));
	MUST(ftruncate(posix, 4096));
	EXPECT_EQ(mmap(NULL, 4096, PROT_READ, MAP_SHARED, posix, 0) == MAP_FAILED, 0);
	ofd = MUST(open("ofd", O_RDWR | O_CREAT, 0600));
	lock = (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET };
	MUST(fcntl(ofd, F_OFD_SETLK, &lock));
	test_wait();
	test_end_child(pid);
	return test_pass();
}
