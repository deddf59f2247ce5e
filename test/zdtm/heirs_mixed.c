/*
 * A wide tree of children that were forked and changed nothing, which a restore may make in a cheap way, mixed with
 * such that have something of their own: a group, a session, files opened or closed, a directory, another user,
 * threads, pending signals, timers, children of either sort, an end.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum kind {
	PLAIN,
	GROUP,
	SESSION,
	OPENED,
	CLOSED,
	WITH_PLAIN_CHILDREN,
	WITH_OTHER_CHILDREN,
	THREADED,
	OTHER_USER,
	MOVED,
	SIGNALLED,
	LIMITED,
	KINDS
};
enum { ROUNDS = 4, COUNT = ROUNDS * KINDS, PRIVATE_BYTES = 40960 };

static char private[PRIVATE_BYTES];
static volatile int *shared;
static volatile int thread_go;

static void plain(void *arg)
{
	const long seed = (long)arg;
	const pid_t parent = getppid(), group = getpgid(0), session = getsid(0);

	test_pattern(private, sizeof(private), (uint32_t)seed);
	child_wait();
	EXPECT_PATTERN(private, sizeof(private), (uint32_t)seed);
	EXPECT_EQ(getppid(), parent);
	EXPECT_EQ(getpgid(0), group);
	EXPECT_EQ(getsid(0), session);
	__atomic_add_fetch(shared, 1, __ATOMIC_SEQ_CST);
}

static void with_children(long number, void (*first)(void *), void (*second)(void *))
{
	pid_t pids[2];

	pids[0] = test_fork(first, (void *)(1000 + number));
	pids[1] = test_fork(second, (void *)(2000 + number));
	plain((void *)number);
	test_end_child(pids[0]);
	test_end_child(pids[1]);
}

static void session(void *arg)
{
	MUST(setsid());
	plain(arg);
}

static void *act(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "of-%d", getpid());
	pthread_setname_np(pthread_self(), name);
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
	test_await(&thread_go, 1);
	return arg;
}

static void threaded(long number)
{
	static int ready;
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, act, &ready), 0);
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < 3)
		usleep(1000);
	plain((void *)number);
	test_post(&thread_go, 1);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
}

static void signalled(long number)
{
	const struct itimerspec set = { .it_value = { 1000, 0 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	const struct timespec zero = { 0 };
	union sigval value = { .sival_int = (int)number };
	struct itimerspec now;
	siginfo_t info;
	sigset_t mask;
	timer_t timer;

	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 3);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	MUST(sigqueue(getpid(), SIGRTMIN + 3, value));
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
	MUST(timer_settime(timer, 0, &set, NULL));
	plain((void *)number);
	MUST(timer_gettime(timer, &now));
	EXPECT(now.it_value.tv_sec > 900 && now.it_value.tv_sec <= 1000);
	EXPECT_EQ(sigtimedwait(&mask, &info, &zero), SIGRTMIN + 3);
	EXPECT_EQ(info.si_value.sival_int, number);
}

static void opened(long number)
{
	char byte = (char)number;
	int ends[2];

	MUST(pipe(ends));
	EXPECT_EQ(write(ends[1], &byte, 1), 1);
	plain((void *)number);
	byte = 0;
	EXPECT_EQ(read(ends[0], &byte, 1), 1);
	EXPECT_EQ(byte, (char)number);
}

static void limited(long number)
{
	const struct rlimit limit = { 1000 + (rlim_t)number, 2000 };
	struct rlimit now;

	MUST(setrlimit(RLIMIT_CORE, &limit));
	MUST(setpriority(PRIO_PROCESS, 0, 3));
	plain((void *)number);
	MUST(getrlimit(RLIMIT_CORE, &now));
	EXPECT_EQ(now.rlim_cur, limit.rlim_cur);
	EXPECT_EQ(now.rlim_max, limit.rlim_max);
	EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 3);
}

static void child(void *arg)
{
	const long number = (long)arg;

	switch (number % KINDS) {
	case GROUP:
		MUST(setpgid(0, 0));
		plain(arg);
		break;
	case SESSION:
		session(arg);
		break;
	case OPENED:
		opened(number);
		break;
	case CLOSED:
		close(50);
		plain(arg);
		EXPECT_EQ(fcntl(50, F_GETFD), -1);
		break;
	case WITH_PLAIN_CHILDREN:
		with_children(number, plain, plain);
		break;
	case WITH_OTHER_CHILDREN:
		with_children(number, plain, session);
		break;
	case THREADED:
		threaded(number);
		break;
	case OTHER_USER:
		MUST(syscall(SYS_setresuid, 1000 + number, 1000 + number, 1000 + number));
		plain(arg);
		EXPECT_EQ(getuid(), 1000 + number);
		break;
	case MOVED:
		MUST(chdir("/"));
		plain(arg);
		break;
	case SIGNALLED:
		signalled(number);
		break;
	case LIMITED:
		limited(number);
		break;
	default:
		plain(arg);
	}
}

int main(void)
{
	pid_t pids[COUNT], dead[ROUNDS];
	siginfo_t info;

	test_start();
	shared = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	EXPECT_EQ(dup2(0, 50), 50);
	for (long i = 0; i < COUNT; i++) {
		pids[i] = test_fork(child, (void *)i);
		if (i % KINDS)
			continue;
		dead[i / KINDS] = MUST(fork());
		if (dead[i / KINDS] == 0)
			_exit((int)i);
		MUST(waitid(P_PID, dead[i / KINDS], &info, WEXITED | WNOWAIT));
	}
	test_wait();
	EXPECT_EQ(fcntl(50, F_GETFD), 0);
	for (int i = 0; i < ROUNDS; i++)
		EXPECT_EQ(test_reap(dead[i]), (i * KINDS) << 8);
	for (int i = 0; i < COUNT; i++)
		test_end_child(pids[i]);
	EXPECT_EQ(*shared, COUNT + 4 * ROUNDS);
	return test_pass();
}
