/*
 * A session keyring with a name and with a link to that of the user, from which both are found; a child that has had
 * the former one of these, one that has been given the user's by asking for it, and two that have none: one of them is
 * the first process of its user that anybody looks at. Who has none goes with the user's that it becomes.
 */
#include "keyring.h"

#include <sys/mman.h>

enum { LINKED, LINKED_TOO, COUNT };

static volatile long *numbers;
static uid_t new_user; /* of whom nobody has asked for keyrings, in another run of this either */

static void check_linked(void)
{
	const long number = keyring_number(KEY_SPEC_SESSION_KEYRING);

	EXPECT(strstr(key_described(KEY_SPEC_SESSION_KEYRING), ";zdtm-linked"));
	key_expect("user", "token", "a secret", KEY_SPEC_SESSION_KEYRING);
	EXPECT_EQ(keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, (long)"keyring", (long)"_uid_ses.0"),
		  keyring_number(KEY_SPEC_USER_SESSION_KEYRING));
	EXPECT(number != keyring_number(KEY_SPEC_USER_SESSION_KEYRING));
}

static void linked(void *arg)
{
	(void)arg;
	child_wait();
	check_linked();
	numbers[LINKED_TOO] = keyring_number(KEY_SPEC_SESSION_KEYRING);
}

static void asked(void *arg)
{
	long session = keyring_number(KEY_SPEC_SESSION_KEYRING);

	(void)arg;
	child_wait();
	EXPECT_EQ(keyring_number(KEY_SPEC_SESSION_KEYRING), session);
	EXPECT_EQ(session, keyring_number(KEY_SPEC_USER_SESSION_KEYRING));
}

static long find(const char *name)
{
	return syscall(SYS_request_key, "keyring", name, NULL, 0);
}

static void become(uid_t user, uid_t effective)
{
	MUST(setresuid(user, effective, effective));
}

static void expect_none(uid_t next)
{
	char name[32];

	snprintf(name, sizeof(name), "_uid_ses.%u", next);
	become(next, 0);
	keyring_number(KEY_SPEC_USER_SESSION_KEYRING);
	EXPECT(find(name) > 0);
}

static void not_asked(void *arg)
{
	(void)arg;
	child_wait();
	expect_none(54323);
}

static void forget_users(void *arg)
{
	(void)arg;
	become(new_user, new_user);
	MUST(keyctl(KEYCTL_INVALIDATE, keyring_number(KEY_SPEC_USER_SESSION_KEYRING), 0, 0));
	_exit(0);
}

static void first(void *arg)
{
	char name[32];

	(void)arg;
	snprintf(name, sizeof(name), "_uid_ses.%u", new_user);
	become(new_user, 0);
	EXPECT(find(name) < 0);
	child_wait();
	expect_none(54323);
}

static void has_none(void *arg)
{
	(void)arg;
	_exit(keyring_number(KEY_SPEC_SESSION_KEYRING) == keyring_number(KEY_SPEC_USER_SESSION_KEYRING) ? 0 : 2);
}

static void act(void)
{
	thread_wait();
	check_linked();
	numbers[LINKED] = keyring_number(KEY_SPEC_SESSION_KEYRING);
}

int main(void)
{
	static void (*const before[])(void *) = { asked, not_asked, first };
	pid_t pids[4];
	pthread_t thread;
	struct timespec now;

	test_start();
	MUST(clock_gettime(CLOCK_REALTIME, &now));
	new_user = 20000 + (uid_t)(now.tv_nsec / 1000 % 30000);
	numbers = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	if (keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0, 0) < 0)
		test_skip("KEYCTL_GET_KEYRING_ID: %s", strerror(errno));
	if (WEXITSTATUS(test_reap(test_fork(has_none, NULL))) == 2)
		test_skip("the test runs in a session keyring of its own");
	test_reap(test_fork(forget_users, NULL));
	for (int i = 0; i < 3; i++)
		pids[i] = test_fork(before[i], NULL);
	keyring_join("zdtm-linked");
	key_add("user", "token", "a secret", KEY_SPEC_SESSION_KEYRING);
	MUST(keyctl(KEYCTL_LINK, KEY_SPEC_USER_SESSION_KEYRING, KEY_SPEC_SESSION_KEYRING, 0));
	pids[3] = test_fork(linked, NULL);
	thread = test_thread(act);
	test_wait();
	check_linked();
	test_end_thread(thread);
	for (int i = 0; i < 4; i++)
		test_end_child(pids[i]);
	test_reap(test_fork(forget_users, NULL));
	EXPECT_EQ(numbers[LINKED], keyring_number(KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(numbers[LINKED_TOO], numbers[LINKED]);
	return test_pass();
}
