/* The robust list and the address cleared at a thread's end: a mutex held by a thread that dies is found to be
 * ownerless. */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static pthread_mutex_t *mutex;
static volatile int ready;

static void *act(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&mutex[0]);
	ready = 1;
	test_await(&ready, 2);
	return NULL;
}

static void child(void *arg)
{
	(void)arg;
	EXPECT_EQ(pthread_mutex_lock(&mutex[1]), 0);
	child_wait();
}

int main(void)
{
	pthread_mutexattr_t attributes;
	void *before, *now, *tid_before = NULL, *tid_now = NULL;
	pthread_t thread;
	size_t bytes;
	pid_t pid;

	test_start();
	mutex = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&mutex[0], &attributes);
	pthread_mutex_init(&mutex[1], &attributes);
	pid = test_fork(child, NULL);
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	while (!ready)
		usleep(1000);
	MUST(syscall(SYS_get_robust_list, 0, &before, &bytes));
	(void)prctl(PR_GET_TID_ADDRESS, &tid_before, 0, 0, 0);
	test_wait();
	MUST(syscall(SYS_get_robust_list, 0, &now, &bytes));
	(void)prctl(PR_GET_TID_ADDRESS, &tid_now, 0, 0, 0);
	EXPECT(now == before);
	EXPECT(tid_now == tid_before);
	EXPECT_EQ(bytes, 24);
	EXPECT_EQ(pthread_mutex_trylock(&mutex[0]), EBUSY);
	EXPECT_EQ(pthread_mutex_trylock(&mutex[1]), EBUSY);
	test_post(&ready, 2);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(pthread_mutex_lock(&mutex[0]), EOWNERDEAD);
	test_end_child(pid);
	EXPECT_EQ(pthread_mutex_lock(&mutex[1]), EOWNERDEAD);
	return test_pass();
}
