/*
 * Threads of one process that belong to different users, one of them with the rights of root for files but not its
 * capabilities: none may look at the checkpointer, and none is confined for that.
 */
#include "zdtmlib.h"

#include <linux/capability.h>
#include <sys/prctl.h>

static const unsigned int ids[][3] = { { 1001, 0, 1001 }, { 1002, 1003, 1004 }, { 0, 1005, 1005 }, { 1001, 0, 0 } };

static volatile int ready, go, passed;

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	MUST(syscall(SYS_capset, &header, none));
}

static void *act(void *arg)
{
	const unsigned int *own = arg;
	unsigned int found[3];

	MUST(syscall(SYS_setresgid, own[2], own[1], own[0]));
	MUST(syscall(SYS_setresuid, own[0], own[1], own[2]));
	drop_capabilities();
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	test_await(&go, 1);
	MUST(getresuid(&found[0], &found[1], &found[2]));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(found[i], own[i]);
	MUST(getresgid(&found[2], &found[1], &found[0]));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(found[i], own[i]);
	__atomic_add_fetch(&passed, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

int main(void)
{
	const int count = sizeof(ids) / sizeof(ids[0]);
	pthread_t threads[4];

	test_start();
	for (int i = 0; i < count; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, act, (void *)(uintptr_t)ids[i]), 0);
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < count)
		usleep(1000);
	test_wait();
	test_post(&go, 1);
	for (int i = 0; i < count; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
	EXPECT_EQ(passed, count);
	return test_pass();
}
