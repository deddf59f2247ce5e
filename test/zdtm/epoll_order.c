/*
 * What an epoll reports, in which order: that in which targets became ready, turned by what was reported already; and
 * one-shot targets that have fired and say nothing until they are armed again, although nothing can be read or written
 * any more and the other end goes away.
 */
#include "zdtmlib.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { TARGETS = 9, FIRST_REPORTED = 4 };

static const int order[TARGETS] = { 5, 2, 7, 0, 8, 1, 6, 3, 4 };

static void control(int epfd, int operation, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	MUST(epoll_ctl(epfd, operation, fd, &event));
}

static void expect_order(int epfd, int turned_by)
{
	struct epoll_event events[TARGETS + 1];

	EXPECT_EQ(epoll_wait(epfd, events, TARGETS + 1, 0), TARGETS);
	for (int i = 0; i < TARGETS; i++)
		EXPECT_EQ(events[i].data.u64, order[(i + turned_by) % TARGETS]);
}

static void fill(int fd)
{
	char bytes[4096] = { 0 };

	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	EXPECT_EQ(errno, EAGAIN);
}

static void drain(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	EXPECT_EQ(errno, EAGAIN);
}

static void expect_nothing(int epfd)
{
	struct epoll_event event;

	EXPECT_EQ(epoll_wait(epfd, &event, 1, 0), 0);
}

static void expect_one(int epfd, uint32_t events, uint64_t data)
{
	struct epoll_event event;

	EXPECT_EQ(epoll_wait(epfd, &event, 1, 0), 1);
	EXPECT_EQ(event.events, events);
	EXPECT_EQ(event.data.u64, data);
}

int main(void)
{
	struct epoll_event events[FIRST_REPORTED];
	int epfd, spent, fds[TARGETS], to_read[2], to_write[2], capacity;
	char byte;

	test_start();
	epfd = MUST(epoll_create1(0));
	for (int i = 0; i < TARGETS; i++) {
		fds[i] = MUST(eventfd(0, EFD_NONBLOCK));
		control(epfd, EPOLL_CTL_ADD, fds[i], EPOLLIN, (uint64_t)i);
	}
	for (int i = 0; i < TARGETS; i++)
		MUST(eventfd_write(fds[order[i]], 1));
	EXPECT_EQ(epoll_wait(epfd, events, FIRST_REPORTED, 0), FIRST_REPORTED);
	spent = MUST(epoll_create1(0));
	MUST(pipe2(to_read, O_NONBLOCK));
	MUST(pipe2(to_write, O_NONBLOCK));
	control(spent, EPOLL_CTL_ADD, to_read[0], EPOLLIN | EPOLLONESHOT, 1);
	MUST(write(to_read[1], "x", 1));
	expect_one(spent, EPOLLIN, 1);
	MUST(read(to_read[0], &byte, 1));
	control(spent, EPOLL_CTL_ADD, to_write[1], EPOLLOUT | EPOLLONESHOT, 2);
	expect_one(spent, EPOLLOUT, 2);
	fill(to_write[1]);
	capacity = fcntl(to_write[1], F_GETPIPE_SZ);
	test_wait();
	expect_order(epfd, FIRST_REPORTED);
	expect_order(epfd, FIRST_REPORTED);
	EXPECT_EQ(read(to_read[0], &byte, 1), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(write(to_write[1], "x", 1), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(fcntl(to_write[1], F_GETPIPE_SZ), capacity);
	MUST(close(to_read[1]));
	drain(to_write[0]);
	MUST(close(to_write[0]));
	expect_nothing(spent);
	control(spent, EPOLL_CTL_MOD, to_read[0], EPOLLIN | EPOLLONESHOT, 3);
	expect_one(spent, EPOLLHUP, 3);
	expect_nothing(spent);
	control(spent, EPOLL_CTL_MOD, to_write[1], EPOLLOUT | EPOLLONESHOT, 4);
	expect_one(spent, EPOLLOUT | EPOLLERR, 4);
	expect_nothing(spent);
	return test_pass();
}
