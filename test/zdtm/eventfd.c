/* eventfd: counter, semaphore mode, flags, the largest value, shared with a child. */
#include "zdtmlib.h"

#include <sys/eventfd.h>

static int shared;

static void child(void *arg)
{
	uint64_t value = 5;

	(void)arg;
	child_wait();
	EXPECT_EQ(write(shared, &value, 8), 8);
}

int main(void)
{
	int counter, semaphore, largest;
	uint64_t value = 0xfffffffffffffffeULL;
	pid_t pid;

	test_start();
	counter = MUST(eventfd(123456, EFD_CLOEXEC));
	semaphore = MUST(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
	largest = MUST(eventfd(0, EFD_NONBLOCK));
	shared = MUST(eventfd(2, 0));
	EXPECT_EQ(write(largest, &value, 8), 8);
	pid = test_fork(child, NULL);
	test_wait();
	EXPECT_EQ(fcntl(counter, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(counter, F_GETFL), O_RDWR);
	EXPECT_EQ(read(counter, &value, 8), 8);
	EXPECT_EQ(value, 123456);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(read(semaphore, &value, 8), 8);
		EXPECT_EQ(value, 1);
	}
	EXPECT_EQ(read(semaphore, &value, 8), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(write(largest, &value, 8), -1);
	EXPECT_EQ(read(largest, &value, 8), 8);
	EXPECT_EQ(value, 0xfffffffffffffffeULL);
	test_end_child(pid);
	EXPECT_EQ(read(shared, &value, 8), 8);
	EXPECT_EQ(value, 7);
	return test_pass();
}
