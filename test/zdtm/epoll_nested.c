/* An epoll within an epoll within an epoll, the outermost shared with a child, and an epoll over a pipe between both.
 */
#include "zdtmlib.h"

#include <sys/epoll.h>

static int inner, middle, outer, ends[2];

static void child(void *arg)
{
	struct epoll_event event = { 0 };

	(void)arg;
	child_wait();
	EXPECT_EQ(epoll_wait(outer, &event, 1, 5000), 1);
	EXPECT_EQ(event.data.u32, 33);
	EXPECT_EQ(epoll_wait(middle, &event, 1, 0), 1);
	EXPECT_EQ(event.data.u32, 22);
	EXPECT_EQ(epoll_wait(inner, &event, 1, 0), 1);
	EXPECT_EQ(event.data.u32, 11);
}

static void add(int epfd, int fd, uint32_t data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = data };

	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

int main(void)
{
	struct epoll_event event;
	pid_t pid;

	test_start();
	MUST(pipe(ends));
	outer = MUST(epoll_create1(0));
	middle = MUST(epoll_create1(0));
	inner = MUST(epoll_create1(0));
	add(inner, ends[0], 11);
	add(middle, inner, 22);
	add(outer, middle, 33);
	pid = test_fork(child, NULL);
	test_wait();
	EXPECT_EQ(epoll_wait(outer, &event, 1, 0), 0);
	EXPECT_EQ(write(ends[1], "x", 1), 1);
	test_end_child(pid);
	return test_pass();
}
