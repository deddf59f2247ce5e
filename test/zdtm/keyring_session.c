/* A session keyring of the program's own: refused by name. */
#include "zdtmlib.h"

#include <linux/keyctl.h>

int main(void)
{
	long session;

	test_start();
	session = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "zdtm-session");
	if (session < 0)
		test_skip("KEYCTL_JOIN_SESSION_KEYRING: %s", strerror(errno));
	test_wait();
	EXPECT_EQ(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0), session);
	return test_pass();
}
