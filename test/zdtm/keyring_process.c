/* A process keyring: refused by name. */
#include "zdtmlib.h"

#include <linux/keyctl.h>
#include <pthread.h>

static volatile int ready, go;

static void *act(void *arg)
{
	long keyring = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1);

	if (keyring < 0)
		test_skip("KEYCTL_GET_KEYRING_ID: %s", strerror(errno));
	test_post(&ready, 1);
	test_await(&go, 1);
	EXPECT_EQ(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0), keyring);
	return arg;
}

int main(void)
{
	pthread_t thread;

	test_start();
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	test_await(&ready, 1);
	test_wait();
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	return test_pass();
}
