/* The keyring of a second thread, or (argument: process) one of the process that such a thread has made: refused by
 * name. */
#include "zdtmlib.h"

#include <linux/keyctl.h>

static long which = KEY_SPEC_THREAD_KEYRING;

static void act(void)
{
	long keyring = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, which, 1);

	if (keyring < 0)
		test_skip("KEYCTL_GET_KEYRING_ID: %s", strerror(errno));
	thread_wait();
	EXPECT_EQ(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, which, 0), keyring);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc > 1 && strcmp(argv[1], "process") == 0)
		which = KEY_SPEC_PROCESS_KEYRING;
	test_start();
	thread = test_thread(act);
	test_wait();
	test_end_thread(thread);
	return test_pass();
}
