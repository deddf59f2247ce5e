/* A thread with a working directory and umask of its own (unshare(CLONE_FS)): refused by name. */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/stat.h>

static volatile int ready, go;

static void *act(void *arg)
{
	char found[512];

	MUST(unshare(CLONE_FS));
	MUST(mkdir("below", 0700));
	MUST(chdir("below"));
	umask(0123);
	test_post(&ready, 1);
	test_await(&go, 1);
	EXPECT(getcwd(found, sizeof(found)));
	EXPECT_STR(strrchr(found, '/'), "/below");
	EXPECT_EQ(umask(0), 0123);
	return arg;
}

int main(void)
{
	char before[512], found[512];
	pthread_t thread;

	test_start();
	umask(0022);
	EXPECT(getcwd(before, sizeof(before)));
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	test_await(&ready, 1);
	test_wait();
	EXPECT(getcwd(found, sizeof(found)));
	EXPECT_STR(found, before);
	EXPECT_EQ(umask(0), 0022);
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	return test_pass();
}
