/*
 * Signals waiting to be delivered, to the process and to two threads: order, siginfo with every kind of sender, and
 * that standard signals wait only once.
 */
#include "zdtmlib.h"

#include <pthread.h>

static volatile int go, ready;
static pid_t thread_tid;
static int from_thread[3];

static void send_info(pid_t tid, int signo, int code, int value)
{
	siginfo_t info = { .si_signo = signo, .si_code = code, .si_pid = 4321, .si_uid = 1234, .si_errno = value + 5 };

	info.si_value.sival_int = value;
	if (tid)
		MUST(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signo, &info));
	else
		MUST(syscall(SYS_rt_sigqueueinfo, getpid(), signo, &info));
}

static void expect_next(int signo, int code, int value)
{
	struct timespec zero = { 0 };
	siginfo_t info = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	/* The library's wrapper hides SI_TKILL. */
	if (syscall(SYS_rt_sigtimedwait, &set, &info, &zero, 8) != signo)
		FAIL("signal %d is not pending", signo);
	EXPECT_EQ(info.si_signo, signo);
	EXPECT_EQ(info.si_code, code);
	if (code == SI_QUEUE || code == SI_MESGQ) {
		EXPECT_EQ(info.si_pid, 4321);
		EXPECT_EQ(info.si_uid, 1234);
		EXPECT_EQ(info.si_value.sival_int, value);
		EXPECT_EQ(info.si_errno, value + 5);
	} else {
		EXPECT_EQ(info.si_pid, getpid());
		EXPECT_EQ(info.si_uid, getuid());
	}
}

static void expect_none(void)
{
	struct timespec zero = { 0 };
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGTERM);
	sigdelset(&set, SIGCONT); /* of who stopped us */
	EXPECT_EQ(sigtimedwait(&set, NULL, &zero), -1);
	EXPECT_EQ(errno, EAGAIN);
}

static void *act(void *arg)
{
	(void)arg;
	thread_tid = gettid();
	ready = 1;
	test_await(&go, 1);
	for (int i = 0; i < 3; i++)
		expect_next(SIGRTMIN + 2, SI_QUEUE, from_thread[i]);
	expect_next(SIGUSR2, SI_TKILL, 0);
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	pthread_t thread;
	sigset_t all;

	test_start();
	sigfillset(&all);
	MUST(sigprocmask(SIG_BLOCK, &all, NULL));
	MUST(sigaction(SIGCHLD, &action, NULL));
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	while (!ready)
		usleep(1000);
	for (int i = 0; i < 20; i++)
		send_info(0, SIGRTMIN + 1, i % 2 ? SI_QUEUE : SI_MESGQ, i);
	MUST(kill(getpid(), SIGUSR1));
	MUST(kill(getpid(), SIGUSR1));
	MUST(kill(getpid(), SIGINT));
	send_info(gettid(), SIGRTMIN + 3, SI_QUEUE, 70);
	send_info(gettid(), SIGRTMIN + 3, SI_QUEUE, 71);
	for (int i = 0; i < 3; i++) {
		from_thread[i] = 40 + i;
		send_info(thread_tid, SIGRTMIN + 2, SI_QUEUE, 40 + i);
	}
	MUST(syscall(SYS_tgkill, getpid(), thread_tid, SIGUSR2));
	test_wait();
	for (int i = 0; i < 20; i++)
		expect_next(SIGRTMIN + 1, i % 2 ? SI_QUEUE : SI_MESGQ, i);
	expect_next(SIGUSR1, SI_USER, 0);
	expect_next(SIGINT, SI_USER, 0);
	expect_next(SIGRTMIN + 3, SI_QUEUE, 70);
	expect_next(SIGRTMIN + 3, SI_QUEUE, 71);
	expect_none();
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	expect_none();
	return test_pass();
}
