/*
 * User and group ids (real, effective, saved, filesystem), groups, capability sets, securebits, no_new_privs: of the
 * process, and of two threads that differ from it.
 */
#include "zdtmlib.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static volatile int go, ready;

/* What /proc says about one thread's credentials. */
struct credentials {
	char text[2048];
};

static void note(struct credentials *ret)
{
	static const char *const keys[] = { "Uid:",    "Gid:",    "Groups:", "CapInh:",    "CapPrm:",
					    "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:" };
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	char path[64];
	const char *text;
	size_t n = 0;

	pthread_mutex_lock(&lock);
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", gettid());
	text = test_slurp(path);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *line = strstr(text, keys[i]);

		if (line)
			n += snprintf(ret->text + n, sizeof(ret->text) - n, "%.*s;", (int)strcspn(line, "\n"), line);
	}
	snprintf(ret->text + n, sizeof(ret->text) - n, "securebits %d keepcaps %d", prctl(PR_GET_SECUREBITS),
		 prctl(PR_GET_KEEPCAPS));
	pthread_mutex_unlock(&lock);
}

static void set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32) },
	};

	MUST(syscall(SYS_capset, &header, data));
}

static void *plain_user(void *arg)
{
	struct credentials before, now;

	MUST(syscall(SYS_setresgid, 3001, 3002, 3003));
	MUST(syscall(SYS_setresuid, 4001, 4002, 4003));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	note(&before);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	test_await(&go, 1);
	note(&now);
	EXPECT_STR(now.text, before.text);
	return arg;
}

static void *few_caps(void *arg)
{
	struct credentials before, now;
	gid_t groups[] = { 10, 20, 70000 };

	MUST(syscall(SYS_setgroups, 3, groups));
	MUST(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0));
	MUST(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP));
	set_caps(1 << CAP_CHOWN, 1 << CAP_CHOWN | 1 << CAP_NET_RAW, 1 << CAP_NET_RAW);
	MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
	note(&before);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	test_await(&go, 1);
	note(&now);
	EXPECT_STR(now.text, before.text);
	return arg;
}

int main(void)
{
	struct credentials before, now;
	gid_t groups[] = { 5, 6, 7, 1000 };
	pthread_t threads[2];

	test_start();
	EXPECT_EQ(pthread_create(&threads[0], NULL, plain_user, NULL), 0);
	EXPECT_EQ(pthread_create(&threads[1], NULL, few_caps, NULL), 0);
	MUST(syscall(SYS_setgroups, 4, groups));
	MUST(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT));
	MUST(syscall(SYS_setresgid, 1001, 1002, 1003));
	MUST(syscall(SYS_setresuid, 0, 2002, 2003));
	setfsgid(1005);
	setfsuid(2005);
	while (ready < 2)
		usleep(1000);
	note(&before);
	test_wait();
	note(&now);
	EXPECT_STR(now.text, before.text);
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(threads[0], NULL), 0);
	EXPECT_EQ(pthread_join(threads[1], NULL), 0);
	return test_pass();
}
