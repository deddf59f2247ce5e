/*
 * Keyrings that cannot be saved, by the argument: thread: a second thread has one; process: only that thread has that
 * of the process; session: it has another session keyring; logon: a key that nobody may read; expires: a key that does;
 * nested: a keyring in the keyring; hidden: a key that may not be looked at; unseen: one whose owner may not view it;
 * user, users_session: another user's keyring with the name of one of root's; order: the root has that which its first
 * child has made, and the younger ones share the one before.
 */
#include "keyring.h"

#include <sys/mman.h>

static const char *kind;

static void act(void)
{
	long which = strcmp(kind, "thread") == 0    ? KEY_SPEC_THREAD_KEYRING
		     : strcmp(kind, "process") == 0 ? KEY_SPEC_PROCESS_KEYRING
						    : KEY_SPEC_SESSION_KEYRING;
	long keyring;

	if (which == KEY_SPEC_SESSION_KEYRING)
		keyring_join("zdtm-thread");
	keyring = keyctl(KEYCTL_GET_KEYRING_ID, which, 1, 0);
	if (keyring < 0)
		test_skip("KEYCTL_GET_KEYRING_ID: %s", strerror(errno));
	thread_wait();
	EXPECT_EQ(keyring_number((int)which), keyring);
}

static void fill(void)
{
	long key;

	if (strcmp(kind, "users_session") == 0) {
		MUST(setresuid(54321, 54321, 54321));
		keyring_join("_uid_ses.0");
		return;
	}
	keyring_join("zdtm-session");
	if (strcmp(kind, "logon") == 0) {
		key_add("logon", "zdtm:secret", "nobody's", KEY_SPEC_SESSION_KEYRING);
	} else if (strcmp(kind, "nested") == 0) {
		MUST(syscall(SYS_add_key, "keyring", "zdtm-nested", NULL, 0, KEY_SPEC_SESSION_KEYRING));
	} else if (strcmp(kind, "user") == 0) {
		MUST(setresuid(54321, 54321, 54321));
		MUST(syscall(SYS_add_key, "keyring", "_uid.0", NULL, 0, KEY_SPEC_SESSION_KEYRING));
	} else {
		key = key_add("user", "zdtm-key", "here", KEY_SPEC_SESSION_KEYRING);
		if (strcmp(kind, "expires") == 0)
			MUST(keyctl(KEYCTL_SET_TIMEOUT, key, 3600, 0));
		else
			MUST(keyctl(KEYCTL_SETPERM, key, strcmp(kind, "unseen") == 0 ? 0x3f000000 : 0x08080000, 0));
	}
}

static void give_to_parent(void *arg)
{
	volatile int *told = arg;

	child_ready();
	test_await(told, 1);
	keyring_join("zdtm-second");
	MUST(keyctl(KEYCTL_SESSION_TO_PARENT, 0, 0, 0));
	test_post(told, 2);
	child_wait();
}

static void keep(void *arg)
{
	(void)arg;
	child_wait();
}

static void check_order(void)
{
	volatile int *told = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid_t older, younger[2];
	long first;

	keyring_join("zdtm-first");
	first = keyring_number(KEY_SPEC_SESSION_KEYRING);
	older = test_fork(give_to_parent, (void *)told);
	for (int i = 0; i < 2; i++)
		younger[i] = test_fork(keep, NULL);
	test_post(told, 1);
	test_await(told, 2);
	EXPECT(keyring_number(KEY_SPEC_SESSION_KEYRING) != first);
	test_wait();
	EXPECT(strstr(key_described(KEY_SPEC_SESSION_KEYRING), ";zdtm-second"));
	test_end_child(older);
	for (int i = 0; i < 2; i++)
		test_end_child(younger[i]);
}

int main(int argc, char **argv)
{
	bool is_threads;
	pthread_t thread;

	test_start();
	kind = argc > 1 ? argv[1] : "thread";
	if (strcmp(kind, "order") == 0) {
		check_order();
		return test_pass();
	}
	is_threads = strchr("tps", kind[0]) != NULL;
	if (is_threads)
		thread = test_thread(act);
	else
		fill();
	test_wait();
	if (is_threads)
		test_end_thread(thread);
	else
		EXPECT(strstr(key_described(KEY_SPEC_SESSION_KEYRING),
			      strcmp(kind, "users_session") == 0 ? ";_uid_ses.0" : ";zdtm-session"));
	return test_pass();
}
