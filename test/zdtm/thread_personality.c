/* A thread with a personality of its own ("personality") or a login uid of its own ("loginuid"): refused by name. */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/personality.h>

static volatile int ready, go;
static const char *what;

static void *wait_only(void *arg)
{
	test_await(&go, 1);
	return arg;
}

static void *act(void *arg)
{
	int fd;

	if (!strcmp(what, "personality")) {
		MUST(personality(ADDR_NO_RANDOMIZE | UNAME26));
	} else {
		fd = open("/proc/thread-self/loginuid", O_WRONLY);
		if (fd < 0 || write(fd, "4711", 4) != 4)
			test_skip("the login uid cannot be set: %s", strerror(errno));
		close(fd);
	}
	test_post(&ready, 1);
	test_await(&go, 1);
	if (!strcmp(what, "personality"))
		EXPECT_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE | UNAME26);
	else
		EXPECT_STR(test_slurp("/proc/thread-self/loginuid"), "4711");
	return arg;
}

int main(int argc, char **argv)
{
	/* With so many what threads have of their own is told by the kernel's structures. */
	pthread_t threads[20];

	test_start();
	what = argc > 1 ? argv[1] : "personality";
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, i == 7 ? act : wait_only, NULL), 0);
	test_await(&ready, 1);
	test_wait();
	test_post(&go, 1);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
	return test_pass();
}
