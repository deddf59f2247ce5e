/*
 * Session keyrings: of a container (with a name), of a service (without one, with a key of another owner and rights and
 * links to those of users), of its children: the same one, one of their own, the one that their parent had before, that
 * of another user, a revoked one. Numbers are new; who has the same one as whom, and what is in them, is as before.
 */
#include "keyring.h"

#include <sys/mman.h>

enum {
	WITH_ROOT,  /* the root's */
	BEFORE,     /* that which the root had before, */
	BEFORE_TOO, /* by a child of the other one */
	OWN,
	BELOW_OWN, /* by a child of the other one */
	REVOKED,
	OTHER_USERS,
	CHANGES,     /* its own, made when it had */
	BEFORE_THAT, /* a child with the root's */
	COUNT
};

static volatile long *numbers; /* what each sees */
static pid_t grandchildren[COUNT];

static void see(int who)
{
	numbers[who] = keyring_number(KEY_SPEC_SESSION_KEYRING);
}

static void wait_and_see(void *arg)
{
	int who = (int)(intptr_t)arg;

	see(who);
	child_wait();
	see(who);
}

static void with_child(int who, int child, const char *name)
{
	char described[512];

	snprintf(described, sizeof(described), "%s", key_described(KEY_SPEC_SESSION_KEYRING));
	EXPECT(strstr(described, name));
	see(who);
	grandchildren[child] = test_fork(wait_and_see, (void *)(intptr_t)child);
	child_wait();
	see(who);
	EXPECT_STR(key_described(KEY_SPEC_SESSION_KEYRING), described);
	test_end_child(grandchildren[child]);
}

static void before(void *arg)
{
	(void)arg;
	with_child(BEFORE, BEFORE_TOO, ";zdtm-container");
	key_expect("user", "token", "a secret of the container", KEY_SPEC_SESSION_KEYRING);
}

static void own(void *arg)
{
	(void)arg;
	keyring_join("zdtm-own;_uid_ses.0");
	key_add("user", "mine", "alone", KEY_SPEC_SESSION_KEYRING);
	with_child(OWN, BELOW_OWN, ";zdtm-own;_uid_ses.0");
	key_expect("user", "mine", "alone", KEY_SPEC_SESSION_KEYRING);
	EXPECT_EQ(keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, (long)"user", (long)"token"), -1);
}

static void change(void *arg)
{
	pid_t child = test_fork(wait_and_see, (void *)(intptr_t)BEFORE_THAT);

	(void)arg;
	keyring_join("zdtm-changed");
	child_wait();
	see(CHANGES);
	EXPECT(strstr(key_described(KEY_SPEC_SESSION_KEYRING), ";zdtm-changed"));
	test_end_child(child);
}

static void revoked(void *arg)
{
	(void)arg;
	keyring_join(NULL);
	MUST(keyctl(KEYCTL_REVOKE, KEY_SPEC_SESSION_KEYRING, 0, 0));
	child_wait();
	EXPECT_EQ(keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0), -1);
	EXPECT_EQ(errno, EKEYREVOKED);
}

/* It is looked at before the ids change. */
static void other_users(void *arg)
{
	long number = keyring_number(KEY_SPEC_SESSION_KEYRING);

	(void)arg;
	MUST(setresuid(54321, 54321, 54321));
	child_wait();
	EXPECT_EQ(keyring_number(KEY_SPEC_SESSION_KEYRING), number);
	EXPECT(number != keyring_number(KEY_SPEC_USER_SESSION_KEYRING));
}

static void make_service(void)
{
	long key;

	keyring_join(NULL);
	key = key_add("user", "invocation", "0123456789abcdef", KEY_SPEC_SESSION_KEYRING);
	MUST(keyctl(KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING, 0));
	MUST(keyctl(KEYCTL_LINK, KEY_SPEC_USER_SESSION_KEYRING, KEY_SPEC_SESSION_KEYRING, 0));
	key_add("user", "empty;with, signs \"\\", " ", KEY_SPEC_SESSION_KEYRING);
	MUST(keyctl(KEYCTL_CHOWN, key, 1234, 5678));
	MUST(keyctl(KEYCTL_SETPERM, key, 0x0b0b0000, 0));
	MUST(keyctl(KEYCTL_SETPERM, KEY_SPEC_SESSION_KEYRING, 0x3f1b0000, 0));
}

static void check_service(void)
{
	long key = key_expect("user", "invocation", "0123456789abcdef", KEY_SPEC_SESSION_KEYRING);

	EXPECT_STR(key_described(key), "user;1234;5678;0b0b0000;invocation");
	key_expect("user", "empty;with, signs \"\\", " ", KEY_SPEC_SESSION_KEYRING);
	EXPECT_STR(key_described(KEY_SPEC_SESSION_KEYRING), "keyring;0;0;3f1b0000;_ses");
	EXPECT_EQ(keyctl(KEYCTL_READ, KEY_SPEC_SESSION_KEYRING, 0, 0), 4 * sizeof(uint32_t));
	EXPECT_EQ(keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, (long)"keyring", (long)"_uid.0"),
		  keyring_number(KEY_SPEC_USER_KEYRING));
	EXPECT_EQ(keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, (long)"keyring", (long)"_uid_ses.0"),
		  keyring_number(KEY_SPEC_USER_SESSION_KEYRING));
}

int main(void)
{
	pid_t pids[COUNT] = { 0 };
	long session;

	test_start();
	numbers = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	if (keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0, 0) < 0)
		test_skip("KEYCTL_GET_KEYRING_ID: %s", strerror(errno));
	pids[OTHER_USERS] = test_fork(other_users, NULL);
	keyring_join("zdtm-container");
	key_add("user", "token", "a secret of the container", KEY_SPEC_SESSION_KEYRING);
	pids[BEFORE] = test_fork(before, NULL);
	make_service();
	pids[WITH_ROOT] = test_fork(wait_and_see, (void *)(intptr_t)WITH_ROOT);
	pids[OWN] = test_fork(own, NULL);
	pids[CHANGES] = test_fork(change, NULL);
	pids[REVOKED] = test_fork(revoked, NULL);
	test_wait();
	check_service();
	session = keyring_number(KEY_SPEC_SESSION_KEYRING);
	for (int i = 0; i < COUNT; i++)
		if (pids[i])
			test_end_child(pids[i]);
	EXPECT_EQ(numbers[WITH_ROOT], session);
	EXPECT_EQ(numbers[BEFORE], numbers[BEFORE_TOO]);
	EXPECT_EQ(numbers[OWN], numbers[BELOW_OWN]);
	EXPECT_EQ(numbers[BEFORE_THAT], session);
	EXPECT(numbers[CHANGES] != session);
	EXPECT(numbers[OWN] != session && numbers[BEFORE] != session && numbers[OWN] != numbers[BEFORE]);
	return test_pass();
}
