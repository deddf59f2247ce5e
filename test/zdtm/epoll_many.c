/*
 * An epoll among hundreds of descriptors, where targets are told by other means: under their own numbers, under numbers
 * that are another file's by now, closed, or three files' one after the other; a file that is watched five times, an
 * epoll, and a file that only a child has.
 *
 * With the argument "gone": one of them is open only outside of the tree.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

enum { FILES = 300, OWN = 100, MOVED = 50, AGAIN = 3, OFTEN = 5, CHILDS = FILES - 1, BASE = 700 };

enum {
	MOVED_FROM = OWN,
	AGAIN_FROM = MOVED_FROM + MOVED,
	CLOSED = AGAIN_FROM + AGAIN,
	WATCHED_OFTEN,
};

/* Numbers: of those that move one each, one for all that are there again. */
enum {
	MOVED_AT = BASE,
	AGAIN_AT = MOVED_AT + MOVED,
	CLOSED_AT,
	OFTEN_AT,
	CHILDS_AT = OFTEN_AT + OFTEN,
	EPOLL_AT,
	OUTER
};

static int files[FILES], epoll, outer;

static void add(int to, int fd, uint64_t data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };

	MUST(epoll_ctl(to, EPOLL_CTL_ADD, fd, &event));
}

/* Under another number, which is what it was again, or none. */
static void add_as(int to, int fd, int number, uint64_t data, bool reuse)
{
	EXPECT_EQ(dup2(fd, number), number);
	add(to, number, data);
	if (reuse)
		EXPECT_EQ(dup2(0, number), number);
	else
		close(number);
}

static void watch(void)
{
	for (int i = 0; i < OWN; i++)
		add(epoll, files[i], (uint64_t)i << 32);
	for (int i = MOVED_FROM; i < AGAIN_FROM; i++)
		add_as(epoll, files[i], MOVED_AT + i - MOVED_FROM, (uint64_t)i << 32, i % 2);
	for (int i = AGAIN_FROM; i < CLOSED; i++)
		add_as(epoll, files[i], AGAIN_AT, (uint64_t)i << 32, false);
	EXPECT_EQ(dup2(files[CLOSED - 1], AGAIN_AT), AGAIN_AT);
	add_as(epoll, files[CLOSED], CLOSED_AT, (uint64_t)CLOSED << 32, false);
	for (int i = 0; i < OFTEN; i++)
		add_as(epoll, files[WATCHED_OFTEN], OFTEN_AT + i, (uint64_t)WATCHED_OFTEN << 32 | (uint64_t)i, i % 2);
	add_as(outer, epoll, EPOLL_AT, OUTER, true);
}

static void expect_events(int i, int expected)
{
	struct epoll_event events[OFTEN + 1];
	uint64_t value = 1;
	int seen = 0;

	EXPECT_EQ(epoll_wait(outer, events, OFTEN + 1, 0), 0);
	EXPECT_EQ(write(files[i], &value, 8), 8);
	EXPECT_EQ(epoll_wait(outer, events, OFTEN + 1, 0), 1);
	EXPECT_EQ(events[0].data.u64, OUTER);
	EXPECT_EQ(epoll_wait(epoll, events, OFTEN + 1, 0), expected);
	for (int k = 0; k < expected; k++) {
		EXPECT_EQ(events[k].data.u64 >> 32, i);
		seen |= 1 << (events[k].data.u64 & 0xff);
	}
	EXPECT_EQ(seen, (1 << expected) - 1);
	EXPECT_EQ(read(files[i], &value, 8), 8);
}

static void child(void *arg)
{
	(void)arg;
	child_wait();
	expect_events(CHILDS, 1);
}

static void hold_outside(void)
{
	struct pollfd ended = { .events = POLLIN };
	const pid_t root = getpid();
	pid_t pid = MUST(fork());

	if (pid == 0) {
		if (fork() > 0)
			_exit(0);
		close(1);
		ended.fd = MUST(syscall(SYS_pidfd_open, root, 0));
		_exit(poll(&ended, 1, -1) == 1 ? 0 : 1);
	}
	EXPECT_EQ(test_reap(pid), 0);
}

int main(int argc, char **argv)
{
	pid_t pid = 0;

	test_start();
	epoll = MUST(epoll_create1(0));
	outer = MUST(epoll_create1(0));
	for (int i = 0; i < FILES; i++)
		files[i] = MUST(eventfd(0, EFD_NONBLOCK));
	watch();
	add_as(epoll, files[CHILDS], CHILDS_AT, (uint64_t)CHILDS << 32, true);
	if (argc > 1)
		hold_outside();
	else
		pid = test_fork(child, NULL);
	close(files[CHILDS]);
	test_wait();
	for (int i = 0; i < CHILDS; i++) {
		if (i == WATCHED_OFTEN)
			expect_events(i, OFTEN);
		else if (i < WATCHED_OFTEN)
			expect_events(i, 1);
	}
	if (pid)
		test_end_child(pid);
	EXPECT_EQ(fcntl(MOVED_AT, F_GETFD), -1);
	EXPECT_EQ(fcntl(MOVED_AT + 1, F_GETFD), 0);
	EXPECT_EQ(fcntl(CLOSED_AT, F_GETFD), -1);
	return test_pass();
}
