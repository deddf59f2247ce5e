/* A thread with a working directory and umask of its own (unshare(CLONE_FS)): refused by name. */
#include "zdtmlib.h"

#include <sys/stat.h>

static void act(void)
{
	char found[512];

	MUST(unshare(CLONE_FS));
	MUST(mkdir("below", 0700));
	MUST(chdir("below"));
	umask(0123);
	thread_wait();
	EXPECT(getcwd(found, sizeof(found)));
	EXPECT_STR(strrchr(found, '/'), "/below");
	EXPECT_EQ(umask(0), 0123);
}

int main(void)
{
	char before[512], found[512];
	pthread_t thread;

	test_start();
	umask(0022);
	EXPECT(getcwd(before, sizeof(before)));
	thread = test_thread(act);
	test_wait();
	EXPECT(getcwd(found, sizeof(found)));
	EXPECT_STR(found, before);
	EXPECT_EQ(umask(0), 0022);
	test_end_thread(thread);
	return test_pass();
}
