/*
 * The robust list and the address cleared at a thread's end: a mutex held by a thread that dies is found to be
 * ownerless. Nobody has a list that had none.
 */
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

static struct list {
	void *next;
	long offset;
	void *pending;
} own_list = { &own_list, 0, NULL };

static void *list_of(pid_t tid)
{
	void *list = NULL;
	size_t bytes;

	MUST(syscall(SYS_get_robust_list, tid, &list, &bytes));
	return list;
}

static void bare_child(void *arg)
{
	MUST(syscall(SYS_set_robust_list, arg, sizeof(struct list)));
	EXPECT(list_of(0) == arg);
	child_wait();
	EXPECT(list_of(0) == arg);
}

static void bare_thread(void)
{
	MUST(syscall(SYS_set_robust_list, NULL, sizeof(struct list)));
	thread_wait();
	EXPECT(list_of(0) == NULL);
}

/* Its first thread ends. */
static void *last_thread(void *arg)
{
	void *own = list_of(0);

	(void)arg;
	child_wait();
	EXPECT(list_of(0) == own);
	EXPECT(list_of(getpid()) == NULL);
	_exit(0);
}

static void ended(void *arg)
{
	pthread_t thread;

	(void)arg;
	EXPECT_EQ(pthread_create(&thread, NULL, last_thread, NULL), 0);
	syscall(SYS_exit, 0);
}

int main(void)
{
	pthread_mutexattr_t attributes;
	void *before, *now, *tid_before = NULL, *tid_now = NULL;
	pthread_t thread, bare;
	size_t bytes;
	pid_t pid, others[3];

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
	others[0] = test_fork(bare_child, NULL);
	others[1] = test_fork(bare_child, &own_list);
	others[2] = test_fork(ended, NULL);
	bare = test_thread(bare_thread);
	MUST(syscall(SYS_get_robust_list, 0, &before, &bytes));
	(void)prctl(PR_GET_TID_ADDRESS, &tid_before, 0, 0, 0);
	test_wait();
	MUST(syscall(SYS_get_robust_list, 0, &now, &bytes));
	(void)prctl(PR_GET_TID_ADDRESS, &tid_now, 0, 0, 0);
	EXPECT(now == before);
	EXPECT(tid_now == tid_before);
	EXPECT_EQ(bytes, 24);
	EXPECT(list_of(others[0]) == NULL);
	EXPECT(list_of(others[1]) == &own_list);
	for (int i = 0; i < 3; i++)
		test_end_child(others[i]);
	test_end_thread(bare);
	EXPECT_EQ(pthread_mutex_trylock(&mutex[0]), EBUSY);
	EXPECT_EQ(pthread_mutex_trylock(&mutex[1]), EBUSY);
	test_post(&ready, 2);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(pthread_mutex_lock(&mutex[0]), EOWNERDEAD);
	test_end_child(pid);
	EXPECT_EQ(pthread_mutex_lock(&mutex[1]), EOWNERDEAD);
	return test_pass();
}
