/* Keyrings as a program sees them: number, name and rights, keys and what they hold. */
#pragma once

#include "zdtmlib.h"

#include <linux/keyctl.h>

static inline long keyctl(int operation, long first, long second, long third)
{
	return syscall(SYS_keyctl, operation, first, second, third, 0);
}

static inline long keyring_number(int which)
{
	return MUST(keyctl(KEYCTL_GET_KEYRING_ID, which, 0, 0));
}

/* "keyring;0;0;3f130000;name" */
static inline const char *key_described(long key)
{
	static char text[2][512];
	static int turn;

	turn = !turn;
	MUST(keyctl(KEYCTL_DESCRIBE, key, (long)text[turn], sizeof(text[turn])));
	return text[turn];
}

static inline long key_add(const char *type, const char *name, const char *payload, long keyring)
{
	return MUST(syscall(SYS_add_key, type, name, payload, strlen(payload), keyring));
}

/* Finds it in the keyring and expects that text in it. */
static inline long key_expect(const char *type, const char *name, const char *payload, long keyring)
{
	long key = MUST(keyctl(KEYCTL_SEARCH, keyring, (long)type, (long)name));
	char text[4096] = "";

	EXPECT_EQ(keyctl(KEYCTL_READ, key, (long)text, sizeof(text) - 1), strlen(payload));
	EXPECT_STR(text, payload);
	return key;
}

static inline void keyring_join(const char *name)
{
	if (keyctl(KEYCTL_JOIN_SESSION_KEYRING, (long)name, 0, 0) < 0)
		test_skip("KEYCTL_JOIN_SESSION_KEYRING: %s", strerror(errno));
}
