/* A thread with a descriptor table of its own (unshare(CLONE_FILES)): refused by name. */
#include "zdtmlib.h"

static void act(void)
{
	MUST(unshare(CLONE_FILES));
	EXPECT_EQ(dup2(0, 77), 77);
	thread_wait();
	EXPECT_EQ(fcntl(77, F_GETFD), 0);
}

int main(void)
{
	pthread_t thread;

	test_start();
	thread = test_thread(act);
	test_wait();
	EXPECT_EQ(fcntl(77, F_GETFD), -1);
	test_end_thread(thread);
	return test_pass();
}
