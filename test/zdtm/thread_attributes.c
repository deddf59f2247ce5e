/*
 * What each thread has of its own beside ids and registers: timer slack, NUMA policy, slice, deadline, scheduling
 * class, nice value and I/O priority, parent-death signal, alternate stack with SS_AUTODISARM, pending signals, TSC
 * faults.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

enum { THREADS = 8, MPOL_PREFERRED_ = 1, MPOL_BIND_ = 2, MPOL_INTERLEAVE_ = 3, CLASS_IDLE = 5, CLASS_DEADLINE = 6 };

/* Laid out as the kernel's struct sched_attr. */
struct scheduling {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t clamp[2];
};

struct attributes {
	struct scheduling scheduling;
	int nice, ioprio, pdeath, tsc, policy_mode;
	long slack;
	unsigned long nodes[16];
	stack_t stack;
};

static const struct scheduling wanted[THREADS] = {
	{ .policy = SCHED_OTHER, .nice = 3, .runtime = 4000000 },
	{ .policy = SCHED_OTHER, .nice = -3 },
	{ .policy = SCHED_BATCH, .nice = 11, .runtime = 7000000 },
	{ .policy = CLASS_IDLE, .nice = 13 },
	{ .policy = CLASS_DEADLINE, .runtime = 1000000, .deadline = 50000000, .period = 100000000 },
	{ .policy = SCHED_FIFO, .priority = 42 },
	{ .policy = SCHED_RR, .priority = 2, .flags = 1 /* reset on fork */ },
	{ .policy = SCHED_OTHER, .nice = 0, .flags = 1 },
};

static volatile int ready, go;

static void get(struct attributes *ret)
{
	memset(ret, 0, sizeof(*ret));
	MUST(syscall(SYS_sched_getattr, 0, &ret->scheduling, sizeof(ret->scheduling), 0));
	ret->nice = getpriority(PRIO_PROCESS, gettid());
	ret->ioprio = MUST(syscall(SYS_ioprio_get, 1, 0));
	MUST(prctl(PR_GET_PDEATHSIG, &ret->pdeath));
	MUST(prctl(PR_GET_TSC, &ret->tsc));
	ret->slack = prctl(PR_GET_TIMERSLACK);
	if (syscall(SYS_get_mempolicy, &ret->policy_mode, ret->nodes, 8 * sizeof(ret->nodes), NULL, 0) < 0)
		ret->policy_mode = -1;
	MUST(sigaltstack(NULL, &ret->stack));
}

static void set(int number, char *stack_area)
{
	struct scheduling scheduling = wanted[number];
	const stack_t stack = { .ss_sp = stack_area, .ss_size = 8192, .ss_flags = number % 2 ? (int)SS_AUTODISARM : 0 };
	const unsigned long node = 1;

	scheduling.size = sizeof(scheduling);
	MUST(syscall(SYS_ioprio_set, 1, 0, number % 2 ? 2 << 13 | number % 8 : 3 << 13));
	MUST(prctl(PR_SET_PDEATHSIG, number % 3 ? SIGRTMIN + number : 0));
	MUST(prctl(PR_SET_TIMERSLACK, 1000 * number + 7));
	(void)syscall(SYS_set_mempolicy, number % 4, number % 4 ? &node : NULL, number % 4 ? 65 : 0);
	if (number != 7)
		MUST(sigaltstack(&stack, NULL));
	MUST(setpriority(PRIO_PROCESS, gettid(), wanted[number].nice));
	/* A machine may have no bandwidth left for a deadline. */
	if (syscall(SYS_sched_setattr, 0, &scheduling, 0) < 0 && scheduling.policy != CLASS_DEADLINE)
		FAIL("policy %u: %s", scheduling.policy, strerror(errno));
	if (number == 1)
		MUST(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
}

static void send_self(int number)
{
	siginfo_t info = { .si_code = SI_QUEUE, .si_pid = 77, .si_uid = (uid_t)number };

	for (int i = 0; i < number; i++) {
		info.si_signo = SIGRTMIN + 9;
		info.si_value.sival_int = 1000 * number + i;
		MUST(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGRTMIN + 9, &info));
	}
}

static void receive(int number)
{
	const struct timespec zero = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 9);
	for (int i = 0; i < number; i++) {
		EXPECT_EQ(sigtimedwait(&set, &info, &zero), SIGRTMIN + 9);
		EXPECT_EQ(info.si_value.sival_int, 1000 * number + i);
		EXPECT_EQ(info.si_uid, number);
	}
	EXPECT_EQ(sigtimedwait(&set, &info, &zero), -1);
}

static void *act(void *arg)
{
	static char stacks[THREADS][8192];
	const int number = (int)(long)arg;
	struct attributes before, now;

	set(number, stacks[number]);
	send_self(number);
	get(&before);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	test_await(&go, 1);
	get(&now);
	EXPECT_EQ(now.scheduling.policy, before.scheduling.policy);
	EXPECT_EQ(now.scheduling.flags, before.scheduling.flags);
	EXPECT_EQ(now.scheduling.nice, before.scheduling.nice);
	EXPECT_EQ(now.scheduling.priority, before.scheduling.priority);
	EXPECT_EQ(now.scheduling.runtime, before.scheduling.runtime);
	EXPECT_EQ(now.scheduling.deadline, before.scheduling.deadline);
	EXPECT_EQ(now.scheduling.period, before.scheduling.period);
	EXPECT_EQ(now.scheduling.clamp[0], before.scheduling.clamp[0]);
	EXPECT_EQ(now.scheduling.clamp[1], before.scheduling.clamp[1]);
	EXPECT_EQ(now.nice, before.nice);
	EXPECT_EQ(now.ioprio, before.ioprio);
	EXPECT_EQ(now.pdeath, before.pdeath);
	EXPECT_EQ(now.tsc, before.tsc);
	EXPECT_EQ(now.slack, before.slack);
	EXPECT_EQ(now.policy_mode, before.policy_mode);
	EXPECT_MEM(now.nodes, before.nodes, sizeof(now.nodes));
	EXPECT(now.stack.ss_sp == before.stack.ss_sp);
	EXPECT_EQ(now.stack.ss_size, before.stack.ss_size);
	EXPECT_EQ(now.stack.ss_flags, before.stack.ss_flags);
	receive(number);
	return NULL;
}

static void child(void *arg)
{
	pthread_t threads[THREADS];
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	MUST(sigprocmask(SIG_BLOCK, &all, NULL));
	for (long i = 0; i < THREADS; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, act, (void *)i), 0);
	while (ready < THREADS)
		usleep(1000);
	child_wait();
	test_post(&go, 1);
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
	pid_t pid;

	test_start();
	pid = test_fork(child, NULL);
	test_wait();
	test_end_child(pid);
	return test_pass();
}
