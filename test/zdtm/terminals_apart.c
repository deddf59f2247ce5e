/* Processes that each have a terminal of their own: all of them get back the numbers they had, made at the same time.
 */
#include "zdtmlib.h"

#include <sys/ioctl.h>

enum { COUNT = 12 };

static void child(void *arg)
{
	int master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY)), zero = 0, before, after;
	char text[8];

	(void)arg;
	MUST(ioctl(master, TIOCSPTLCK, &zero));
	MUST(ioctl(master, TIOCGPTN, &before));
	EXPECT(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY) >= 0);
	child_wait();
	MUST(ioctl(master, TIOCGPTN, &after));
	EXPECT_EQ(after, before);
	EXPECT_EQ(write(master, "x\n", 2), 2);
	EXPECT_EQ(read(master, text, 1), 1);
}

int main(void)
{
	pid_t pids[COUNT];

	test_start();
	for (int i = 0; i < COUNT; i++)
		pids[i] = test_fork(child, NULL);
	test_wait();
	for (int i = 0; i < COUNT; i++)
		test_end_child(pids[i]);
	return test_pass();
}
