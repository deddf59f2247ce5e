/* As many supplementary groups as the kernel allows (65536), in one thread; none at all in another. */
#include "zdtmlib.h"

#include <pthread.h>

enum { MOST = 65536 };

static volatile int ready, go;

static void *act(void *arg)
{
	MUST(syscall(SYS_setgroups, 0, NULL));
	test_post(&ready, 1);
	test_await(&go, 1);
	EXPECT_EQ(syscall(SYS_getgroups, 0, NULL), 0);
	return arg;
}

int main(void)
{
	static gid_t groups[MOST], found[MOST];
	pthread_t thread;

	test_start();
	for (int i = 0; i < MOST; i++)
		groups[i] = (gid_t)i * 31 + 5;
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	test_await(&ready, 1);
	MUST(syscall(SYS_setgroups, MOST, groups));
	test_wait();
	EXPECT_EQ(syscall(SYS_getgroups, MOST, found), MOST);
	EXPECT_MEM(found, groups, sizeof(found));
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	return test_pass();
}
