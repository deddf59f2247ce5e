/* Policy, priority, nice value, affinity, I/O priority and reset-on-fork of a process and of threads with other ones.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/resource.h>

struct attributes {
	int policy, priority, nice, ioprio, affinity;
};

static const struct wanted {
	int policy, priority, nice, ioprio, cpu;
} wanted[] = {
	{ SCHED_OTHER, 0, 5, 2 << 13 | 3, 0 },
	{ SCHED_BATCH, 0, 7, 2 << 13 | 7, 0 },
	{ SCHED_IDLE, 0, 4, 3 << 13, 0 },
	{ SCHED_RR | SCHED_RESET_ON_FORK, 3, 6, 1 << 13 | 2, 0 },
	{ SCHED_FIFO, 7, 0, 0, 0 },
};
enum { COUNT = sizeof(wanted) / sizeof(wanted[0]) };

static volatile int go, ready;

static struct attributes get(void)
{
	struct attributes a = { .policy = MUST(sched_getscheduler(0)) };
	struct sched_param param;
	cpu_set_t set;

	MUST(sched_getparam(0, &param));
	a.priority = param.sched_priority;
	errno = 0;
	a.nice = getpriority(PRIO_PROCESS, 0);
	a.ioprio = MUST(syscall(SYS_ioprio_get, 1, 0));
	MUST(sched_getaffinity(0, sizeof(set), &set));
	for (int i = 0; i < 31; i++)
		a.affinity |= CPU_ISSET(i, &set) ? 1 << i : 0;
	return a;
}

static void set(const struct wanted *want)
{
	struct sched_param param = { .sched_priority = want->priority };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(want->cpu, &set);
	MUST(setpriority(PRIO_PROCESS, 0, want->nice));
	MUST(syscall(SYS_ioprio_set, 1, 0, want->ioprio));
	MUST(sched_setaffinity(0, sizeof(set), &set));
	if (sched_setscheduler(0, want->policy, &param) < 0)
		test_skip("policy %#x: %s", want->policy, strerror(errno));
}

static void check(const struct attributes *before)
{
	struct attributes now = get();

	EXPECT_EQ(now.policy, before->policy);
	EXPECT_EQ(now.priority, before->priority);
	EXPECT_EQ(now.nice, before->nice);
	EXPECT_EQ(now.ioprio, before->ioprio);
	EXPECT_EQ(now.affinity, before->affinity);
}

static void *act(void *arg)
{
	const struct wanted *want = arg;
	struct attributes before;

	set(want);
	before = get();
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	test_await(&go, 1);
	check(&before);
	return NULL;
}

int main(void)
{
	pthread_t threads[COUNT];
	struct attributes before;

	test_start();
	for (int i = 1; i < COUNT; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, act, (void *)&wanted[i]), 0);
	while (ready < COUNT - 1)
		usleep(1000);
	set(&wanted[0]);
	before = get();
	test_wait();
	check(&before);
	test_post(&go, 1);
	for (int i = 1; i < COUNT; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
	return test_pass();
}
