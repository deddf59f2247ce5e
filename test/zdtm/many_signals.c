/*
 * Thousands of signals with values, pending to the process and to a thread: all of them, in their order. Where the
 * queue was full the kernel keeps the signal alone, without its sender: that one waits, too.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/resource.h>

enum { SHARED = 6000, OWN = 3000 };

static volatile int ready, go;

static void take(int signo, int count, int first)
{
	const struct timespec zero = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	for (int i = 0; i < count; i++) {
		if (sigtimedwait(&set, &info, &zero) != signo)
			FAIL("signal %d: %d of %d are pending", signo, i, count);
		EXPECT_EQ(info.si_code, SI_QUEUE);
		EXPECT_EQ(info.si_value.sival_int, first + i);
		EXPECT_EQ(info.si_pid, getpid());
	}
	EXPECT_EQ(sigtimedwait(&set, &info, &zero), -1);
}

static void *act(void *arg)
{
	siginfo_t info = { .si_signo = SIGRTMIN + 2, .si_code = SI_QUEUE, .si_pid = getpid() };

	for (int i = 0; i < OWN; i++) {
		info.si_value.sival_int = 7000 + i;
		MUST(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGRTMIN + 2, &info));
	}
	test_post(&ready, 1);
	test_await(&go, 1);
	take(SIGRTMIN + 2, OWN, 7000);
	return arg;
}

/* As they come out: both look as if sent by pid 0. */
static void take_bare(int signo)
{
	const struct timespec zero = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	EXPECT_EQ(sigtimedwait(&set, &info, &zero), signo);
	EXPECT_EQ(info.si_code, SI_USER);
	EXPECT_EQ(info.si_pid, 0);
	EXPECT_EQ(sigtimedwait(&set, &info, &zero), -1);
}

static void send_to_full_queue(void)
{
	struct rlimit limit, none = { 0, 0 };

	MUST(getrlimit(RLIMIT_SIGPENDING, &limit));
	none.rlim_max = limit.rlim_max;
	MUST(setrlimit(RLIMIT_SIGPENDING, &none));
	MUST(kill(getpid(), SIGRTMIN + 6));
	MUST(tgkill(getpid(), gettid(), SIGUSR2));
	EXPECT_EQ(sigqueue(getpid(), SIGRTMIN + 7, (union sigval){ 0 }), -1);
	MUST(setrlimit(RLIMIT_SIGPENDING, &limit));
}

int main(void)
{
	union sigval value;
	pthread_t thread;
	sigset_t all;

	test_start();
	sigfillset(&all);
	MUST(sigprocmask(SIG_BLOCK, &all, NULL));
	for (int i = 0; i < SHARED; i++) {
		value.sival_int = i / 2;
		MUST(sigqueue(getpid(), SIGRTMIN + 3 + i % 2, value));
	}
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	test_await(&ready, 1);
	send_to_full_queue();
	test_wait();
	take_bare(SIGRTMIN + 6);
	take_bare(SIGUSR2);
	take(SIGRTMIN + 4, SHARED / 2, 0);
	take(SIGRTMIN + 3, SHARED / 2, 0);
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	return test_pass();
}
