/*
 * A session on a pseudo terminal whose master its parent holds: the controlling terminal of leader and members, the
 * foreground group, /dev/tty, signals from the keyboard, and a member that gave the terminal up.
 */
#include "zdtmlib.h"

#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;
static volatile sig_atomic_t interrupts;

static void on_interrupt(int signal)
{
	(void)signal;
	interrupts++;
}

static void expect_terminal(pid_t sid, pid_t pgrp)
{
	int tty = open("/dev/tty", O_RDWR);
	pid_t found;

	EXPECT(tty >= 0);
	EXPECT_EQ(tcgetsid(tty), sid);
	found = tcgetpgrp(tty);
	EXPECT_EQ(found, pgrp);
	close(tty);
}

static void member(void *arg)
{
	pid_t pid = getpid(), sid = getsid(0);
	int tty;

	(void)arg;
	MUST(setpgid(0, 0));
	MUST(signal(SIGTTOU, SIG_IGN) == SIG_ERR ? -1 : 0);
	MUST(tcsetpgrp(slave, pid));
	MUST(signal(SIGINT, on_interrupt) == SIG_ERR ? -1 : 0);
	tty = MUST(open("/dev/tty", O_RDWR));
	child_wait();
	expect_terminal(sid, pid);
	EXPECT_EQ(write(tty, "tty", 3), 3);
	for (int i = 0; i < 60000 && !interrupts; i++)
		usleep(5000);
	EXPECT_EQ(interrupts, 1);
}

static void leader(void *arg)
{
	struct termios modes;
	pid_t pid;

	(void)arg;
	close(master);
	MUST(setsid());
	slave = MUST(open((const char *)arg, O_RDWR));
	MUST(tcgetattr(slave, &modes));
	modes.c_lflag &= ~(tcflag_t)ECHO;
	MUST(tcsetattr(slave, TCSANOW, &modes));
	pid = test_fork(member, NULL);
	child_wait();
	expect_terminal(getpid(), pid);
	test_end_child(pid);
}

int main(void)
{
	char path[64], text[64] = "";
	unsigned int number;
	pid_t pid;
	int zero = 0;

	test_start();
	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (master < 0)
		test_skip("/dev/ptmx: %s", strerror(errno));
	MUST(ioctl(master, TIOCSPTLCK, &zero));
	MUST(ioctl(master, TIOCGPTN, &number));
	snprintf(path, sizeof(path), "/dev/pts/%u", number);
	pid = test_fork(leader, path);
	test_wait();
	EXPECT_EQ(tcgetsid(master), pid);
	MUST(kill(pid, SIGTERM));
	EXPECT_EQ(read(master, text, 3), 3);
	EXPECT_STR(text, "tty");
	EXPECT_EQ(write(master, "\003", 1), 1);
	EXPECT_EQ(test_reap(pid), 0);
	return test_pass();
}
