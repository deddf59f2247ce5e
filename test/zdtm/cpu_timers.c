/* Timers on the processor time of another process: parent, child and sibling; and on that of another thread. */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

struct shared {
	volatile int pids[3];
	volatile int go, checked;
};

static struct shared *shared;
static volatile int thread_go, thread_ready;
static clockid_t thread_clock;

static int create(clockid_t clock)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	const struct itimerspec set = { .it_interval = { 5, 0 }, .it_value = { 1000, 0 } };
	int id = -1;

	MUST(syscall(SYS_timer_create, clock, &event, &id));
	MUST(syscall(SYS_timer_settime, id, 0, &set, NULL));
	return id;
}

static void check(int id)
{
	struct itimerspec now;

	MUST(syscall(SYS_timer_gettime, id, &now));
	EXPECT_EQ(now.it_interval.tv_sec, 5);
	EXPECT(now.it_value.tv_sec > 900 && now.it_value.tv_sec <= 1000);
}

static int on_process(pid_t pid)
{
	clockid_t clock;

	EXPECT_EQ(clock_getcpuclockid(pid, &clock), 0);
	return create(clock);
}

static void child(void *arg)
{
	const long number = (long)arg;
	int ids[2];

	shared->pids[number] = getpid();
	child_ready();
	test_await(&shared->go, 1);
	ids[0] = on_process(getppid());
	ids[1] = on_process(shared->pids[3 - number]);
	test_post(&shared->pids[0], number);
	child_wait();
	check(ids[0]);
	check(ids[1]);
	/* The clock of a process ends with it. */
	__atomic_add_fetch(&shared->checked, 1, __ATOMIC_SEQ_CST);
	while (shared->checked < 3)
		usleep(1000);
}

static void *act(void *arg)
{
	EXPECT_EQ(pthread_getcpuclockid(pthread_self(), &thread_clock), 0);
	test_post(&thread_ready, 1);
	test_await(&thread_go, 1);
	return arg;
}

int main(void)
{
	pthread_t thread;
	pid_t pids[2];
	int ids[3];

	test_start();
	shared = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (long i = 0; i < 2; i++)
		pids[i] = test_fork(child, (void *)(i + 1));
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	test_await(&thread_ready, 1);
	ids[0] = on_process(pids[0]);
	ids[1] = on_process(pids[1]);
	ids[2] = create(thread_clock);
	test_post(&shared->go, 1);
	usleep(50000);
	test_wait();
	for (int i = 0; i < 3; i++)
		check(ids[i]);
	__atomic_add_fetch(&shared->checked, 1, __ATOMIC_SEQ_CST);
	test_post(&thread_go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	for (int i = 0; i < 2; i++)
		MUST(kill(pids[i], SIGTERM));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(test_reap(pids[i]), 0);
	return test_pass();
}
