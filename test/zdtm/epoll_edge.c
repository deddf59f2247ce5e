/*
 * Edge-triggered targets: what was reported is not reported again, what was not is, and news are. Of one epoll that had
 * nothing to report, of one that had, of one that had both, of two processes with EPOLLEXCLUSIVE; parameters of busy
 * polling.
 */
#include "zdtmlib.h"

#include <linux/types.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct params {
	__u32 usecs;
	__u16 budget;
	__u8 prefer, pad;
};

#define SET_PARAMS _IOW(0x8A, 0x01, struct params)
#define GET_PARAMS _IOR(0x8A, 0x02, struct params)

static int shared, event_fd;

static void add(int epfd, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

static void child(void *arg)
{
	struct epoll_event event;
	int epfd = MUST(epoll_create1(0));

	(void)arg;
	add(epfd, event_fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 77);
	child_wait();
	EXPECT_EQ(epoll_wait(epfd, &event, 1, 0), 1);
	EXPECT_EQ(event.data.u64, 77);
}

int main(void)
{
	struct params params = { .usecs = 50, .budget = 16, .prefer = 1 }, found = { 0 };
	int quiet, loud, mixed, in[2], out[2], idle[2], pending;
	struct epoll_event events[8];
	bool has_params;
	char byte;
	pid_t pid;

	test_start();
	quiet = MUST(epoll_create1(0));
	loud = MUST(epoll_create1(0));
	MUST(pipe(in));
	MUST(pipe(out));
	MUST(pipe(idle));
	pending = MUST(eventfd(3, EFD_NONBLOCK));
	event_fd = MUST(eventfd(0, EFD_NONBLOCK));
	has_params = ioctl(quiet, SET_PARAMS, &params) == 0;
	EXPECT_EQ(write(in[1], "ab", 2), 2);
	add(quiet, in[0], EPOLLIN | EPOLLET, 1);
	add(quiet, out[1], EPOLLOUT | EPOLLET, 2);
	EXPECT_EQ(epoll_wait(quiet, events, 8, 0), 2);
	add(quiet, idle[0], EPOLLIN | EPOLLET, 3);
	add(quiet, pending, EPOLLPRI, 4);
	add(loud, pending, EPOLLIN | EPOLLET, 0x123456789abcdef0);
	mixed = MUST(epoll_create1(0));
	add(mixed, out[1], EPOLLOUT | EPOLLET, 21);
	add(mixed, pending, EPOLLOUT | EPOLLET, 22);
	EXPECT_EQ(epoll_wait(mixed, events, 8, 0), 2);
	add(mixed, in[0], EPOLLIN, 23);
	add(mixed, in[1], EPOLLOUT | EPOLLET, 24);
	shared = MUST(epoll_create1(0));
	add(shared, event_fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 6);
	pid = test_fork(child, NULL);
	test_wait();
	EXPECT_EQ(epoll_wait(quiet, events, 8, 0), 0);
	EXPECT_EQ(epoll_wait(loud, events, 8, 0), 1);
	EXPECT_EQ(events[0].data.u64, 0x123456789abcdef0);
	EXPECT_EQ(epoll_wait(loud, events, 8, 0), 0);
	EXPECT_EQ(epoll_wait(mixed, events, 8, 0), 2);
	EXPECT_EQ(events[0].data.u64 + events[1].data.u64, 23 + 24);
	EXPECT_EQ(epoll_wait(mixed, events, 8, 0), 1);
	EXPECT_EQ(events[0].data.u64, 23);
	EXPECT_EQ(write(idle[1], "x", 1), 1);
	EXPECT_EQ(epoll_wait(quiet, events, 8, 0), 1);
	EXPECT_EQ(events[0].data.u64, 3);
	EXPECT_EQ(write(in[1], "c", 1), 1);
	EXPECT_EQ(epoll_wait(quiet, events, 8, 0), 1);
	EXPECT_EQ(events[0].data.u64, 1);
	EXPECT_EQ(write(out[1], "x", 1), 1);
	EXPECT_EQ(read(out[0], &byte, 1), 1);
	EXPECT_EQ(epoll_wait(shared, events, 8, 0), 0);
	EXPECT_EQ(eventfd_write(event_fd, 1), 0);
	EXPECT_EQ(epoll_wait(shared, events, 8, 0), 1);
	EXPECT_EQ(events[0].data.u64, 6);
	test_end_child(pid);
	if (has_params) {
		MUST(ioctl(quiet, GET_PARAMS, &found));
		EXPECT_EQ(found.usecs, 50);
		EXPECT_EQ(found.budget, 16);
		EXPECT_EQ(found.prefer, 1);
		MUST(ioctl(loud, GET_PARAMS, &found));
		EXPECT_EQ(found.usecs, 0);
	}
	return test_pass();
}
