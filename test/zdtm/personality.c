/* The execution domain's flags, in two processes. */
#include "zdtmlib.h"

#include <sys/personality.h>

static void child(void *arg)
{
	(void)arg;
	MUST(personality(ADDR_NO_RANDOMIZE | UNAME26 | STICKY_TIMEOUTS));
	child_wait();
	EXPECT_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE | UNAME26 | STICKY_TIMEOUTS);
}

int main(void)
{
	pid_t pid;

	test_start();
	pid = test_fork(child, NULL);
	MUST(personality(ADDR_COMPAT_LAYOUT));
	test_wait();
	EXPECT_EQ(personality(0xffffffff), ADDR_COMPAT_LAYOUT);
	test_end_child(pid);
	return test_pass();
}
