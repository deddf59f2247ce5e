/*
 * Processes of a session with a controlling terminal that have none: one that was there before the leader took it, and
 * one that has given it up. A child of the latter has none either, and one that was created in between keeps it. The
 * terminal is also open with O_PATH, under its name, in two processes; and as /dev/tty, which stays one description of
 * all who have got it from the leader, with a terminal or without.
 */
#include "zdtmlib.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int slave, path, controlling;

static bool has_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY);

	if (fd < 0)
		EXPECT_EQ(errno, ENXIO);
	else
		MUST(close(fd));
	return fd >= 0;
}

static void check_path(void)
{
	struct stat st, wanted;

	MUST(fstat(path, &st));
	MUST(fstat(slave, &wanted));
	EXPECT_EQ(st.st_rdev, wanted.st_rdev);
	EXPECT(fcntl(path, F_GETFL) & O_PATH);
}

/* How it is before has to be how it is afterwards. */
static void stay(void *arg)
{
	bool has_one = (bool)(long)arg;

	EXPECT_EQ(has_terminal(), has_one);
	child_wait();
	EXPECT_EQ(has_terminal(), has_one);
	EXPECT_EQ(tcgetpgrp(slave) > 0, has_one);
}

static void give_up(void *arg)
{
	pid_t with, without;

	(void)arg;
	with = test_fork(stay, (void *)true);
	MUST(ioctl(slave, TIOCNOTTY));
	without = test_fork(stay, (void *)false);
	child_wait();
	EXPECT(!has_terminal());
	check_path();
	EXPECT(fcntl(controlling, F_GETFL) & O_NONBLOCK);
	test_end_child(with);
	test_end_child(without);
}

static void leave_session(void *arg)
{
	(void)arg;
	MUST(setsid());
	child_wait();
	EXPECT(!has_terminal());
	EXPECT(fcntl(controlling, F_GETFL) & O_NONBLOCK);
}

int main(void)
{
	char name[64];
	pid_t early, left, apart;
	int master;

	test_start();
	MUST(openpty(&master, &slave, name, NULL, NULL));
	path = MUST(open(name, O_PATH));
	early = test_fork(stay, (void *)false);
	MUST(ioctl(slave, TIOCSCTTY, 0));
	controlling = MUST(open("/dev/tty", O_RDWR | O_NOCTTY));
	left = test_fork(give_up, NULL);
	apart = test_fork(leave_session, NULL);
	test_wait();
	EXPECT(has_terminal());
	MUST(fcntl(controlling, F_SETFL, O_RDWR | O_NONBLOCK));
	test_end_child(apart);
	check_path();
	EXPECT_EQ(tcgetsid(slave), getpid());
	test_end_child(early);
	test_end_child(left);
	return test_pass();
}
