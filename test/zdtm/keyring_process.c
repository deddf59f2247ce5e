/*
 * The keyring of a process: with keys, one as large as can be, for all its threads, and for request_key(2). Its
 * children have none. By the argument: children: it is a thread that has a child.
 */
#include "keyring.h"

static char large[0x7fff];
static bool is_threads_child;
static pid_t pid;

static void check(void)
{
	long key = key_expect("user", "of the process", "shared by threads", KEY_SPEC_PROCESS_KEYRING);

	EXPECT_STR(key_described(key), "user;0;0;3f030000;of the process");
	EXPECT_STR(key_described(KEY_SPEC_PROCESS_KEYRING), "keyring;0;0;1f010000;_pid");
	EXPECT_EQ(keyctl(KEYCTL_READ, KEY_SPEC_PROCESS_KEYRING, 0, 0), 2 * sizeof(uint32_t));
	EXPECT_EQ(keyctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE, 0, 0), KEY_REQKEY_DEFL_PROCESS_KEYRING);
}

static void check_large(void)
{
	long key = MUST(keyctl(KEYCTL_SEARCH, KEY_SPEC_PROCESS_KEYRING, (long)"user", (long)"large"));
	static char found[sizeof(large) + 1];

	EXPECT_EQ(keyctl(KEYCTL_READ, key, (long)found, sizeof(found)), sizeof(large));
	EXPECT_MEM(found, large, sizeof(large));
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

static void act(void)
{
	if (is_threads_child)
		pid = test_fork(child, NULL);
	thread_wait();
	check();
}

int main(int argc, char **argv)
{
	pthread_t thread;
	long key;

	test_start();
	is_threads_child = argc > 1;
	test_pattern(large, sizeof(large), 1);
	if (keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0) < 0)
		test_skip("KEYCTL_GET_KEYRING_ID: %s", strerror(errno));
	key = key_add("user", "of the process", "shared by threads", KEY_SPEC_PROCESS_KEYRING);
	MUST(keyctl(KEYCTL_SETPERM, key, 0x3f030000, 0));
	MUST(keyctl(KEYCTL_SETPERM, KEY_SPEC_PROCESS_KEYRING, 0x1f010000, 0));
	MUST(keyctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_PROCESS_KEYRING, 0, 0));
	MUST(syscall(SYS_add_key, "user", "large", large, sizeof(large), KEY_SPEC_PROCESS_KEYRING));
	thread = test_thread(act);
	if (!is_threads_child)
		pid = test_fork(child, NULL);
	test_wait();
	check();
	check_large();
	test_end_thread(thread);
	test_end_child(pid);
	return test_pass();
}
