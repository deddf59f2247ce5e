/* A pidfd of a thread that is not the first one. */
#include "zdtmlib.h"

#include <pthread.h>

static pid_t tid;
static volatile int started;

static void *sleep_on(void *arg)
{
	(void)arg;
	tid = (pid_t)syscall(SYS_gettid);
	test_post(&started, 1);
	for (;;)
		pause();
	return NULL;
}

int main(void)
{
	pthread_t thread;
	int fd;

	test_start();
	if (pthread_create(&thread, NULL, sleep_on, NULL) != 0)
		test_skip("pthread_create");
	test_await(&started, 1);
	fd = (int)syscall(SYS_pidfd_open, tid, O_EXCL /* PIDFD_THREAD */);
	if (fd < 0)
		test_skip("PIDFD_THREAD: %s", strerror(errno));
	test_wait();
	EXPECT_EQ(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);
	return test_pass();
}
