/* Users' keyrings are not the process's: whether it has asked for its session keyring or not, and as another user. */
#include "zdtmlib.h"

#include <linux/keyctl.h>

static long keyring(int which)
{
	return MUST(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, which, 0));
}

static void asked(void *arg)
{
	long session = keyring(KEY_SPEC_SESSION_KEYRING);

	(void)arg;
	child_wait();
	EXPECT_EQ(keyring(KEY_SPEC_SESSION_KEYRING), session);
}

static void other_user(void *arg)
{
	MUST(setresuid(54321, 54321, 54321));
	asked(arg);
}

static void not_asked(void *arg)
{
	(void)arg;
	child_wait();
	EXPECT(keyring(KEY_SPEC_SESSION_KEYRING) > 0);
	EXPECT_EQ(keyring(KEY_SPEC_SESSION_KEYRING), keyring(KEY_SPEC_USER_SESSION_KEYRING));
}

static void compare(void *arg)
{
	(void)arg;
	_exit(keyring(KEY_SPEC_SESSION_KEYRING) == keyring(KEY_SPEC_USER_SESSION_KEYRING) ? 0 : 2);
}

/* Asked by a child of its own, for asking gives one. */
static bool have_own_session(void)
{
	return WEXITSTATUS(test_reap(test_fork(compare, NULL))) == 2;
}

static void (*const children[])(void *) = { asked, other_user, not_asked };
enum { COUNT = sizeof(children) / sizeof(children[0]) };

int main(void)
{
	pid_t pids[COUNT];

	test_start();
	if (syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0) < 0)
		test_skip("KEYCTL_GET_KEYRING_ID: %s", strerror(errno));
	if (have_own_session())
		test_skip("the test runs in a session keyring of its own");
	for (int i = 0; i < COUNT; i++)
		pids[i] = test_fork(children[i], NULL);
	test_wait();
	for (int i = 0; i < COUNT; i++)
		test_end_child(pids[i]);
	return test_pass();
}
