/*
 * A process that waits for its child of vfork(), which sleeps: waiting for it does not end the epoll_wait of another
 * process that has been stopped already.
 */
#include "zdtmlib.h"

#include <sys/epoll.h>
#include <sys/mman.h>

static volatile int *stage;

enum { WAIT_MS = 4000 };

static pid_t start_waiter(void)
{
	struct epoll_event event;
	pid_t pid = MUST(fork());

	if (pid == 0) {
		int fd = MUST(epoll_create1(0));

		test_post(stage, 1);
		EXPECT_EQ(epoll_wait(fd, &event, 1, WAIT_MS), 0);
		_exit(0);
	}
	test_await(stage, 1);
	return pid;
}

int main(void)
{
	pid_t waiter, parent, pid;
	int status;

	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	waiter = start_waiter();
	parent = MUST(fork());
	if (parent == 0) {
		pid = vfork();
		if (pid == 0) {
			test_post(stage, 2);
			test_await(stage, 3);
			_exit(5);
		}
		EXPECT_EQ(test_reap(pid), 5 << 8);
		_exit(0);
	}
	test_await(stage, 2);
	test_wait();
	test_post(stage, 3);
	status = test_reap(parent);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(test_reap(waiter), 0);
	return test_pass();
}
