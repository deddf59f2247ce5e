/*
 * A terminal of a devpts filesystem of its own, beside one of /dev/pts that has the same number: it is refused, for it
 * would become one of /dev/pts.
 */
#include "zdtmlib.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

int main(void)
{
	int master, slave, unlocked = 0, number;
	char name[32], text[8];

	test_start();
	MUST(mkdir("pts", 0700));
	if (mount("others", "pts", "devpts", 0, "newinstance,ptmxmode=0666") < 0)
		test_skip("mount: %s", strerror(errno));
	master = MUST(open("pts/ptmx", O_RDWR | O_NOCTTY));
	MUST(ioctl(master, TIOCSPTLCK, &unlocked));
	MUST(ioctl(master, TIOCGPTN, &number));
	snprintf(name, sizeof(name), "pts/%d", number);
	slave = MUST(open(name, O_RDWR | O_NOCTTY));
	test_wait();
	EXPECT_EQ(write(slave, "still", 5), 5);
	EXPECT_EQ(read(master, text, sizeof(text)), 5);
	EXPECT_MEM(text, "still", 5);
	return test_pass();
}
