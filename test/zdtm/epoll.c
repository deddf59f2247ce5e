/*
 * epoll: level, edge and one-shot entries with their data, one already consumed, one whose descriptor was closed while
 * a copy lives, one entry on a number used again since, another on the number that the epoll has now, readiness in the
 * order it had.
 */
#include "zdtmlib.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static int add(int epfd, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	return MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

static bool find(const struct epoll_event *events, int count, uint64_t data)
{
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == data)
			return true;
	}
	return false;
}

/* The number that it watches something by has become its own. */
static int make_moved(int *ret_target)
{
	int moved = MUST(epoll_create1(0)), watched = MUST(eventfd(0, 0));

	add(moved, watched, EPOLLIN, 8);
	*ret_target = MUST(dup(watched));
	MUST(dup2(moved, watched));
	close(moved);
	return watched;
}

int main(void)
{
	int moved, target;
	int epfd, level, edge, consumed, oneshot, spent, idle, closed, copy, count;
	struct epoll_event events[16];
	uint64_t value = 1;

	test_start();
	epfd = MUST(epoll_create1(EPOLL_CLOEXEC));
	level = MUST(eventfd(1, EFD_NONBLOCK));
	edge = MUST(eventfd(0, EFD_NONBLOCK));
	consumed = MUST(eventfd(1, EFD_NONBLOCK));
	oneshot = MUST(eventfd(0, EFD_NONBLOCK));
	spent = MUST(eventfd(1, EFD_NONBLOCK));
	idle = MUST(eventfd(0, EFD_NONBLOCK));
	closed = MUST(eventfd(0, EFD_NONBLOCK));
	add(epfd, consumed, EPOLLIN | EPOLLET, 3);
	add(epfd, spent, EPOLLIN | EPOLLONESHOT, 5);
	EXPECT_EQ(epoll_wait(epfd, events, 16, 0), 2);
	add(epfd, level, EPOLLIN, 0xaaaabbbbccccdddd);
	add(epfd, edge, EPOLLIN | EPOLLET, 2);
	add(epfd, oneshot, EPOLLIN | EPOLLONESHOT, 4);
	add(epfd, idle, EPOLLIN | EPOLLPRI | EPOLLRDHUP, 6);
	add(epfd, closed, EPOLLIN, 7);
	copy = MUST(dup(closed));
	close(closed);
	moved = make_moved(&target);
	test_wait();
	EXPECT_EQ(fcntl(epfd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(closed, F_GETFD), -1);
	count = epoll_wait(epfd, events, 16, 0);
	EXPECT(find(events, count, 0xaaaabbbbccccdddd));
	EXPECT(!find(events, count, 5));
	EXPECT(!find(events, count, 6));
	EXPECT(!find(events, count, 2));
	EXPECT_EQ(write(edge, &value, 8), 8);
	EXPECT_EQ(write(oneshot, &value, 8), 8);
	EXPECT_EQ(write(copy, &value, 8), 8);
	EXPECT_EQ(read(level, &value, 8), 8);
	count = epoll_wait(epfd, events, 16, 0);
	EXPECT_EQ(count, 3);
	EXPECT(find(events, count, 2) && find(events, count, 4) && find(events, count, 7));
	EXPECT_EQ(epoll_wait(epfd, events, 16, 0), 1); /* edge and one-shot are quiet now */
	EXPECT_EQ(events[0].data.u64, 7);
	events[0].events = EPOLLIN;
	MUST(epoll_ctl(epfd, EPOLL_CTL_MOD, spent, &events[0]));
	EXPECT_EQ(epoll_wait(epfd, events, 16, 0), 2);
	EXPECT_EQ(epoll_wait(moved, events, 16, 0), 0);
	EXPECT_EQ(write(target, &value, 8), 8);
	EXPECT_EQ(epoll_wait(moved, events, 16, 0), 1);
	EXPECT_EQ(events[0].data.u64, 8);
	return test_pass();
}
