/*
 * What a terminal keeps besides settings and data: output stopped by ^S and by TCOOFF at either end, what packet mode
 * has yet to tell, where the cursor is, a ^V that waits for its character, several characters that end lines. What
 * cannot be saved is set up on demand: "echo", "paper", "discipline", "flushed".
 */
#include "zdtmlib.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

struct pair {
	int master, slave;
};

static struct pair open_pair(void)
{
	struct pair pair = { .master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK) };
	int zero = 0;

	if (pair.master < 0)
		test_skip("/dev/ptmx: %s", strerror(errno));
	MUST(ioctl(pair.master, TIOCSPTLCK, &zero));
	pair.slave = MUST(ioctl(pair.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK));
	return pair;
}

static void set_modes(struct pair pair, tcflag_t iflag, tcflag_t oflag, tcflag_t lflag)
{
	struct termios modes;

	MUST(tcgetattr(pair.slave, &modes));
	modes.c_iflag = iflag;
	modes.c_oflag = oflag;
	modes.c_lflag = lflag;
	MUST(tcsetattr(pair.slave, TCSANOW, &modes));
}

static bool can_write(int fd)
{
	struct pollfd state = { .fd = fd, .events = POLLOUT };

	return poll(&state, 1, 0) == 1 && state.revents & POLLOUT;
}

static void until(int fd, bool expected)
{
	for (int i = 0; i < 60000 && can_write(fd) != expected; i++)
		usleep(1000);
	EXPECT_EQ(can_write(fd), expected);
}

static void put(int fd, const char *text)
{
	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
}

/* All that comes, until so much is there and then nothing for a while. */
static size_t take(int fd, char *text, size_t room, size_t expected)
{
	struct pollfd state = { .fd = fd, .events = POLLIN };
	size_t bytes = 0;

	while (poll(&state, 1, bytes < expected ? 60000 : 50) == 1 && state.revents & POLLIN) {
		ssize_t n = read(fd, text + bytes, room - 1 - bytes);

		if (n <= 0)
			break;
		bytes += (size_t)n;
	}
	text[bytes] = '\0';
	return bytes;
}

static void expect_text(int fd, const char *expected)
{
	char text[256];

	(void)take(fd, text, sizeof(text), strlen(expected));
	EXPECT_STR(text, expected);
}

static void expect_status(int fd, int expected)
{
	unsigned char status = 0xff;

	EXPECT_EQ(read(fd, &status, 1), 1);
	EXPECT_EQ(status, expected);
	EXPECT_EQ(read(fd, &status, 1), -1);
}

static struct pair with_packets(void)
{
	struct pair pair = open_pair();
	int on = 1;

	set_modes(pair, IXON, 0, 0);
	MUST(ioctl(pair.master, TIOCPKT, &on));
	return pair;
}

static int refused(const char *what)
{
	struct pair pair = strcmp(what, "flushed") == 0 ? with_packets() : open_pair();
	int none = 27; /* N_NULL */

	if (strcmp(what, "echo") == 0) {
		set_modes(pair, IXON, OPOST, ECHO);
		put(pair.master, "\023x");
		until(pair.slave, false);
		EXPECT_EQ(MUST(poll(&(struct pollfd){ .fd = pair.slave, .events = POLLIN }, 1, 60000)), 1);
	} else if (strcmp(what, "paper") == 0) {
		set_modes(pair, 0, OPOST, ICANON | ECHO | ECHOE | ECHOPRT);
		put(pair.master, "abc\177");
		expect_text(pair.master, "abc\\c");
	} else if (strcmp(what, "flushed") == 0) {
		MUST(tcflush(pair.slave, TCIFLUSH));
		put(pair.master, "x");
		EXPECT_EQ(MUST(poll(&(struct pollfd){ .fd = pair.slave, .events = POLLIN }, 1, 60000)), 1);
	} else if (ioctl(pair.slave, TIOCSETD, &none) < 0) {
		test_skip("no other line discipline: %s", strerror(errno));
	}
	test_wait();
	return test_pass();
}

int main(int argc, char **argv)
{
	struct pair typed, held, both, master, stopped, told, started, flushed, allowed, forbidden, cursor, literal,
	    ends;
	struct termios modes;
	char text[256];

	test_start();
	if (argc > 1)
		return refused(argv[1]);
	typed = open_pair();
	set_modes(typed, IXON, 0, ICANON);
	put(typed.slave, "before");
	put(typed.master, "\023");
	until(typed.slave, false);
	held = open_pair();
	set_modes(held, IXON, 0, 0);
	MUST(tcflow(held.slave, TCOOFF));
	both = open_pair();
	set_modes(both, IXON, 0, 0);
	put(both.master, "\023");
	until(both.slave, false);
	MUST(tcflow(both.slave, TCOOFF));
	master = open_pair();
	set_modes(master, 0, 0, 0);
	MUST(tcflow(master.master, TCOOFF));
	stopped = with_packets();
	MUST(tcflow(stopped.slave, TCOOFF));
	told = with_packets();
	MUST(tcflow(told.slave, TCOOFF));
	expect_status(told.master, TIOCPKT_STOP);
	started = with_packets();
	MUST(tcflow(started.slave, TCOOFF));
	MUST(tcflow(started.slave, TCOON));
	flushed = with_packets();
	put(flushed.slave, "output");
	MUST(tcflush(flushed.slave, TCIFLUSH));
	(void)can_write(flushed.master);
	forbidden = with_packets();
	set_modes(forbidden, 0, 0, 0);
	allowed = with_packets();
	set_modes(allowed, 0, 0, 0);
	set_modes(allowed, IXON, 0, 0);
	put(allowed.master, "\023");
	until(allowed.slave, false);
	cursor = open_pair();
	set_modes(cursor, 0, OPOST | XTABS, ICANON | ECHO | ECHOE);
	put(cursor.slave, "abc");
	expect_text(cursor.master, "abc");
	put(cursor.master, "xy\t");
	expect_text(cursor.master, "xy   ");
	literal = open_pair();
	set_modes(literal, 0, 0, ICANON | ISIG | IEXTEN);
	put(literal.master, "x\026");
	ends = open_pair();
	set_modes(ends, 0, 0, ICANON | IEXTEN);
	MUST(tcgetattr(ends.slave, &modes));
	modes.c_cc[VEOL] = '.';
	modes.c_cc[VEOL2] = ';';
	MUST(tcsetattr(ends.slave, TCSANOW, &modes));
	put(ends.master, "one.two;three.");
	test_wait();
	expect_text(typed.master, "before");
	EXPECT(!can_write(typed.slave));
	MUST(tcflow(typed.slave, TCOON));
	EXPECT(!can_write(typed.slave));
	put(typed.master, "\021");
	until(typed.slave, true);
	EXPECT(!can_write(held.slave));
	put(held.master, "\021");
	usleep(20000);
	EXPECT(!can_write(held.slave));
	MUST(tcflow(held.slave, TCOON));
	EXPECT(can_write(held.slave));
	EXPECT(!can_write(both.slave));
	put(both.master, "\021");
	usleep(20000);
	EXPECT(!can_write(both.slave));
	MUST(tcflow(both.slave, TCOON));
	EXPECT(can_write(both.slave));
	EXPECT(!can_write(master.master));
	EXPECT(can_write(master.slave));
	MUST(tcflow(master.master, TCOON));
	EXPECT(can_write(master.master));
	EXPECT(!can_write(stopped.slave));
	expect_status(stopped.master, TIOCPKT_STOP);
	EXPECT(!can_write(told.slave));
	EXPECT_EQ(read(told.master, text, 1), -1);
	EXPECT(can_write(started.slave));
	expect_status(started.master, TIOCPKT_START);
	EXPECT_EQ(read(flushed.master, text, 1), 1);
	EXPECT_EQ(text[0], TIOCPKT_FLUSHREAD);
	EXPECT_EQ(take(flushed.master, text, sizeof(text), 7), 7);
	EXPECT_MEM(text, "\0output", 7);
	expect_status(forbidden.master, TIOCPKT_NOSTOP);
	expect_status(allowed.master, TIOCPKT_DOSTOP | TIOCPKT_STOP);
	EXPECT(!can_write(allowed.slave));
	put(cursor.master, "\177");
	expect_text(cursor.master, "\b\b\b");
	put(cursor.slave, "\t");
	expect_text(cursor.master, "   ");
	put(literal.master, "\003\n");
	expect_text(literal.slave, "x\003\n");
	EXPECT_EQ(read(ends.slave, text, sizeof(text)), 4);
	EXPECT_MEM(text, "one.", 4);
	EXPECT_EQ(read(ends.slave, text, sizeof(text)), 4);
	EXPECT_MEM(text, "two;", 4);
	EXPECT_EQ(read(ends.slave, text, sizeof(text)), 6);
	EXPECT_MEM(text, "three.", 6);
	return test_pass();
}
