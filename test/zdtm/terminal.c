/* A pseudo terminal: both ends open, modes, window size, data waiting each way. */
#include "zdtmlib.h"

#include <sys/ioctl.h>
#include <termios.h>

int main(void)
{
	struct winsize size = { .ws_row = 42, .ws_col = 123, .ws_xpixel = 984, .ws_ypixel = 640 };
	struct winsize found_size;
	struct termios modes, found;
	int master, slave, zero = 0;
	char path[64], text[64];
	unsigned int number;

	test_start();
	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (master < 0)
		test_skip("/dev/ptmx: %s", strerror(errno));
	MUST(ioctl(master, TIOCSPTLCK, &zero));
	MUST(ioctl(master, TIOCGPTN, &number));
	snprintf(path, sizeof(path), "/dev/pts/%u", number);
	slave = open(path, O_RDWR | O_NOCTTY);
	if (slave < 0)
		test_skip("%s: %s", path, strerror(errno));
	MUST(tcgetattr(slave, &modes));
	cfmakeraw(&modes);
	modes.c_cc[VMIN] = 3;
	MUST(tcsetattr(slave, TCSANOW, &modes));
	MUST(ioctl(master, TIOCSWINSZ, &size));
	test_wait();
	MUST(tcgetattr(slave, &found));
	EXPECT_MEM(&found, &modes, sizeof(modes));
	MUST(ioctl(slave, TIOCGWINSZ, &found_size));
	EXPECT_MEM(&found_size, &size, sizeof(size));
	EXPECT_EQ(write(slave, "out", 3), 3);
	EXPECT_EQ(read(master, text, sizeof(text)), 3);
	EXPECT_EQ(write(master, "input", 5), 5);
	EXPECT_EQ(read(slave, text, sizeof(text)), 5);
	return test_pass();
}
