/* A named pipe: opened for reading, writing and both, with data in it; one whose only writer is a child. */
#include "zdtmlib.h"

#include <sys/stat.h>

static int writer = -1;

static void child(void *arg)
{
	(void)arg;
	writer = MUST(open("second", O_WRONLY));
	child_wait();
	EXPECT_EQ(write(writer, "late", 4), 4);
}

int main(void)
{
	int both, reader, nonblock, second;
	struct stat before, now;
	char text[32];
	pid_t pid;

	test_start();
	MUST(mkfifo("first", 0640));
	MUST(mkfifo("second", 0600));
	both = MUST(open("first", O_RDWR));
	reader = MUST(open("first", O_RDONLY | O_NONBLOCK));
	nonblock = MUST(open("first", O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	EXPECT_EQ(write(both, "some data", 9), 9);
	second = MUST(open("second", O_RDONLY | O_NONBLOCK));
	pid = test_fork(child, NULL);
	MUST(fstat(both, &before));
	test_wait();
	MUST(fstat(both, &now));
	EXPECT_MEM(&now.st_mtim, &before.st_mtim, sizeof(now.st_mtim));
	EXPECT_EQ(write(nonblock, "!", 1), 1);
	EXPECT_EQ(read(reader, text, 32), 10);
	EXPECT_MEM(text, "some data!", 10);
	EXPECT_EQ(read(reader, text, 32), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(fcntl(nonblock, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY | O_NONBLOCK);
	EXPECT_EQ(fcntl(nonblock, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(both, F_GETFL) & O_ACCMODE, O_RDWR);
	EXPECT_EQ(read(second, text, 32), -1);
	EXPECT_EQ(errno, EAGAIN);
	test_end_child(pid);
	EXPECT_EQ(read(second, text, 32), 4);
	EXPECT_EQ(read(second, text, 32), 0);
	return test_pass();
}
