/*
 * A session keyring that criu has, too, as in a login session. It stays the very same one, with a key in it that nobody
 * can read. By the argument: elsewhere: restored in another session, where it is made anew; instead: the program had
 * that of its user, and is restored in a session with one: it gets one, in which the user's keys are found; former:
 * likewise, but it has become another user since.
 */
#include "keyring.h"

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	const bool is_former = strcmp(kind, "former") == 0;
	const bool is_same = !kind[0], had_users = is_former || strcmp(kind, "instead") == 0;
	long before, user;
	bool has_moved;

	test_start();
	before = keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0);
	if (before < 0)
		test_skip("KEYCTL_GET_KEYRING_ID: %s", strerror(errno));
	if (had_users && before != keyring_number(KEY_SPEC_USER_SESSION_KEYRING))
		test_skip("the test runs in a session keyring of its own");
	EXPECT_EQ(before == keyring_number(KEY_SPEC_USER_SESSION_KEYRING), had_users);
	user = keyring_number(KEY_SPEC_USER_KEYRING);
	if (is_former)
		MUST(setresuid(54321, 54321, 54321));
	if (!had_users)
		key_add(is_same ? "logon" : "user", "zdtm:key", "a secret of the session", KEY_SPEC_SESSION_KEYRING);
	test_wait();
	has_moved = keyring_number(KEY_SPEC_SESSION_KEYRING) != before;
	if (is_same)
		EXPECT(!has_moved && keyctl(KEYCTL_SEARCH, before, (long)"logon", (long)"zdtm:key") > 0);
	else if (!had_users)
		key_expect("user", "zdtm:key", "a secret of the session", KEY_SPEC_SESSION_KEYRING);
	else
		EXPECT_EQ(keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, (long)"keyring", (long)"_uid.0"), user);
	if (has_moved)
		EXPECT(strstr(key_described(KEY_SPEC_SESSION_KEYRING), ";_ses"));
	return test_pass();
}
