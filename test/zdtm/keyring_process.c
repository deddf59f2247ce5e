/* The keyring of a process: with a key, for all its threads, and for request_key(2). Its children have none. */
#include "keyring.h"

static void check(void)
{
	long key = key_expect("user", "of the process", "shared by threads", KEY_SPEC_PROCESS_KEYRING);

	EXPECT_STR(key_described(key), "user;0;0;3f030000;of the process");
	EXPECT_STR(key_described(KEY_SPEC_PROCESS_KEYRING), "keyring;0;0;1f010000;_pid");
	EXPECT_EQ(keyctl(KEYCTL_READ, KEY_SPEC_PROCESS_KEYRING, 0, 0), sizeof(uint32_t));
	EXPECT_EQ(keyctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE, 0, 0), KEY_REQKEY_DEFL_PROCESS_KEYRING);
}

static void act(void)
{
	thread_wait();
	check();
}

static void child(void *arg)
{
	(void)arg;
	/* Or it would make itself one where request_key(2) asks for it. */
	MUST(keyctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_DEFAULT, 0, 0));
	child_wait();
	EXPECT_EQ(keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0, 0), -1);
	EXPECT_EQ(errno, ENOKEY);
}

int main(void)
{
	pthread_t thread;
	pid_t pid;
	long key;

	test_start();
	if (keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0) < 0)
		test_skip("KEYCTL_GET_KEYRING_ID: %s", strerror(errno));
	key = key_add("user", "of the process", "shared by threads", KEY_SPEC_PROCESS_KEYRING);
	MUST(keyctl(KEYCTL_SETPERM, key, 0x3f030000, 0));
	MUST(keyctl(KEYCTL_SETPERM, KEY_SPEC_PROCESS_KEYRING, 0x1f010000, 0));
	MUST(keyctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_PROCESS_KEYRING, 0, 0));
	thread = test_thread(act);
	pid = test_fork(child, NULL);
	test_wait();
	check();
	test_end_thread(thread);
	test_end_child(pid);
	return test_pass();
}
