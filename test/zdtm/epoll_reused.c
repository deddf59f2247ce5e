/*
 * Targets that were added under one number: the first one's descriptor was closed while its file stayed open, and the
 * number was used again. Some have something to report and others not; what has been reported of an edge is not
 * reported again, and the order stays.
 */
#include "zdtmlib.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static void add(int epfd, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

/* An event file that has the number, whose former file goes on under another one. */
static int take_number(int number)
{
	int fd;

	MUST(dup(number));
	close(number);
	fd = MUST(eventfd(0, EFD_NONBLOCK));
	EXPECT_EQ(fd, number);
	return fd;
}

int main(void)
{
	int epfd, edge[2], number, last;
	struct epoll_event events[8];

	test_start();
	epfd = MUST(epoll_create1(0));
	MUST(pipe(edge));
	add(epfd, edge[0], EPOLLIN | EPOLLET, 1);
	number = MUST(eventfd(1, EFD_NONBLOCK));
	add(epfd, number, EPOLLIN | EPOLLET, 2);
	EXPECT_EQ(write(edge[1], "a", 1), 1);
	EXPECT_EQ(epoll_wait(epfd, events, 8, 0), 2);
	add(epfd, take_number(number), EPOLLIN | EPOLLET, 3);
	EXPECT_EQ(eventfd_write(number, 1), 0);
	EXPECT_EQ(epoll_wait(epfd, events, 8, 0), 1);
	last = take_number(number);
	add(epfd, last, EPOLLIN | EPOLLET, 4);
	EXPECT_EQ(eventfd_write(last, 1), 0);
	EXPECT_EQ(eventfd_write(number + 1, 1), 0);
	test_wait();
	EXPECT_EQ(epoll_wait(epfd, events, 8, 0), 2);
	EXPECT_EQ(events[0].data.u64, 4);
	EXPECT_EQ(events[1].data.u64, 2);
	EXPECT_EQ(epoll_wait(epfd, events, 8, 0), 0);
	EXPECT_EQ(write(edge[1], "b", 1), 1);
	EXPECT_EQ(epoll_wait(epfd, events, 8, 0), 1);
	EXPECT_EQ(events[0].data.u64, 1);
	return test_pass();
}
