/*
 * Terminals whose programs have left their slave open in one direction only, as a pager that reads keys from it or a
 * log that goes to it: what waits in both directions and where the cursor is.
 */
#include "zdtmlib.h"

#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

struct pair {
	int master, slave;
};

static void get(int fd, const char *expected)
{
	size_t bytes = 0;
	char text[64];

	/* What the terminal makes of a tab arrives by itself. */
	while (bytes < strlen(expected))
		bytes += (size_t)MUST(read(fd, text + bytes, sizeof(text) - bytes));
	EXPECT_EQ(bytes, strlen(expected));
	EXPECT_MEM(text, expected, strlen(expected));
}

static struct pair open_pair(int access)
{
	struct pair pair = { .master = open("/dev/ptmx", O_RDWR | O_NOCTTY) };
	struct termios modes;
	unsigned int number;
	int zero = 0, both;
	char path[64];

	if (pair.master < 0)
		test_skip("/dev/ptmx: %s", strerror(errno));
	MUST(ioctl(pair.master, TIOCSPTLCK, &zero));
	MUST(ioctl(pair.master, TIOCGPTN, &number));
	snprintf(path, sizeof(path), "/dev/pts/%u", number);
	both = MUST(open(path, O_RDWR | O_NOCTTY));
	pair.slave = MUST(open(path, access | O_NOCTTY));
	MUST(tcgetattr(both, &modes));
	modes.c_lflag &= ~(tcflag_t)ECHO;
	modes.c_oflag |= OPOST | TAB3;
	MUST(tcsetattr(both, TCSANOW, &modes));
	EXPECT_EQ(write(both, "abc", 3), 3);
	get(pair.master, "abc");
	EXPECT_EQ(write(both, "out", 3), 3);
	EXPECT_EQ(write(pair.master, "key\n", 4), 4);
	close(both);
	return pair;
}

int main(void)
{
	struct pair reader, writer;

	test_start();
	reader = open_pair(O_RDONLY);
	writer = open_pair(O_WRONLY);
	test_wait();
	get(reader.slave, "key\n");
	get(reader.master, "out");
	get(writer.master, "out");
	EXPECT_EQ(write(writer.slave, "\t.", 2), 2); /* to the next stop, from where the cursor is */
	get(writer.master, "  .");
	EXPECT_EQ(write(reader.slave, "x", 1), -1);
	EXPECT_EQ(errno, EBADF);
	return test_pass();
}
