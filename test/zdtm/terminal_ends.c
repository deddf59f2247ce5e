/*
 * Ends of terminals by themselves: a slave whose master was closed, a master whose slave was, one that never had any;
 * packet mode, exclusive use, the lock, several descriptions with flags of their own, also of one that a child shares.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int open_master(char path[64])
{
	unsigned int number;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), zero = 0;

	if (master < 0)
		test_skip("/dev/ptmx: %s", strerror(errno));
	MUST(ioctl(master, TIOCSPTLCK, &zero));
	MUST(ioctl(master, TIOCGPTN, &number));
	snprintf(path, 64, "/dev/pts/%u", number);
	return master;
}

static int events(int fd)
{
	struct pollfd state = { .fd = fd, .events = POLLIN };

	MUST(poll(&state, 1, 0));
	return state.revents;
}

static void hold(void *unused)
{
	child_wait();
}

int main(void)
{
	char path[64], first[64], text[8];
	int gone, hung, left, alone, busy, slave, second, shared, flags, value = 1;
	unsigned int number;
	pid_t child;

	test_start();
	busy = open_master(first);
	slave = MUST(open(first, O_RDWR | O_NOCTTY));
	second = MUST(open(first, O_WRONLY | O_NOCTTY | O_NONBLOCK));
	MUST(ioctl(busy, TIOCPKT, &value));
	MUST(ioctl(slave, TIOCEXCL));
	left = open_master(path);
	close(MUST(open(path, O_RDWR | O_NOCTTY)));
	alone = open_master(path);
	MUST(ioctl(alone, TIOCSPTLCK, &value));
	MUST(ioctl(alone, TIOCGPTN, &number));
	gone = open_master(path);
	hung = MUST(open(path, O_RDWR | O_NOCTTY));
	close(gone);
	shared = MUST(ioctl(open_master(path), TIOCGPTPEER, O_RDWR | O_NOCTTY));
	flags = fcntl(shared, F_GETFL);
	child = test_fork(hold, NULL);
	test_wait();
	EXPECT_EQ(fcntl(shared, F_GETFL), flags);
	EXPECT_EQ(fcntl(shared, F_GETFD), 0);
	test_end_child(child);
	EXPECT_EQ(read(hung, text, sizeof(text)), 0);
	EXPECT_EQ(write(hung, "x", 1), -1);
	EXPECT_EQ(errno, EIO);
	EXPECT(events(left) & POLLHUP);
	EXPECT_EQ(events(alone), 0);
	value = 0;
	MUST(ioctl(alone, TIOCGPTLCK, &value));
	EXPECT_EQ(value, 1);
	value = 0;
	MUST(ioctl(busy, TIOCGPKT, &value));
	EXPECT_EQ(value, 1);
	value = 0;
	MUST(ioctl(slave, TIOCGEXCL, &value));
	EXPECT_EQ(value, 1);
	EXPECT_EQ(fcntl(second, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY | O_NONBLOCK);
	EXPECT_EQ(fcntl(slave, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
	EXPECT_EQ(write(second, "y", 1), 1);
	EXPECT_EQ(read(busy, text, sizeof(text)), 2);
	EXPECT_EQ(text[0], TIOCPKT_DATA);
	EXPECT_EQ(text[1], 'y');
	return test_pass();
}
