/*
 * What waits in a terminal: whole lines, an end of file, a quoted newline and a line that is still being typed on one
 * pair, bytes without lines on another, output that nobody has read yet.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static void open_pair(int ends[2])
{
	char path[64];
	unsigned int number;
	int zero = 0;

	ends[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (ends[0] < 0)
		test_skip("/dev/ptmx: %s", strerror(errno));
	MUST(ioctl(ends[0], TIOCSPTLCK, &zero));
	MUST(ioctl(ends[0], TIOCGPTN, &number));
	snprintf(path, sizeof(path), "/dev/pts/%u", number);
	ends[1] = MUST(open(path, O_RDWR | O_NOCTTY | O_NONBLOCK));
}

static void set_modes(int fd, bool raw)
{
	struct termios modes;

	MUST(tcgetattr(fd, &modes));
	if (raw)
		cfmakeraw(&modes);
	modes.c_lflag &= ~(tcflag_t)ECHO;
	MUST(tcsetattr(fd, TCSANOW, &modes));
}

static void put(int fd, const char *data, size_t bytes)
{
	EXPECT_EQ(write(fd, data, bytes), bytes);
}

static void get(int fd, const char *expected, size_t bytes)
{
	char text[256];

	EXPECT_EQ(read(fd, text, sizeof(text)), bytes);
	EXPECT_MEM(text, expected, bytes);
}

int main(void)
{
	int lines[2], bytes[2], none;

	test_start();
	open_pair(lines);
	open_pair(bytes);
	set_modes(lines[1], false);
	set_modes(bytes[1], true);
	put(lines[0], "first\nsecond\nend", 16);
	put(lines[0], "\004", 1);
	put(lines[0], "\004", 1);
	put(lines[0], "quo\026\nted\026\003\n", 11);
	put(lines[0], "unfinishedx\177", 12);
	put(bytes[0], "a\nb\0c\003\004\026", 8);
	put(bytes[1], "output\n\0", 8);
	put(lines[1], "more\n", 5);
	MUST(ioctl(bytes[0], FIONREAD, &none));
	test_wait();
	get(lines[1], "first\n", 6);
	get(lines[1], "second\n", 7);
	get(lines[1], "end", 3);
	get(lines[1], "", 0);
	get(lines[1], "quo\nted\003\n", 9);
	EXPECT_EQ(read(lines[1], &none, sizeof(none)), -1);
	EXPECT_EQ(errno, EAGAIN);
	put(lines[0], " no more\n", 9);
	EXPECT_EQ(poll(&(struct pollfd){ .fd = lines[1], .events = POLLIN }, 1, 60000), 1);
	get(lines[1], "unfinished no more\n", 19);
	get(bytes[1], "a\nb\0c\003\004\026", 8);
	get(bytes[0], "output\n\0", 8);
	get(lines[0], "more\r\n", 6);
	return test_pass();
}
