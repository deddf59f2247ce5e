/*
 * The two signals that the C library keeps for itself, and never blocks when asked for all: one that waits from a timer
 * (as for the thread that serves SIGEV_THREAD), one that was sent, and a child that has been killed by one.
 */
#include "zdtmlib.h"

#include <time.h>

#define SIGNAL_TIMER  32
#define SIGNAL_SETXID 33

static const uint64_t both = 1ull << (SIGNAL_TIMER - 1) | 1ull << (SIGNAL_SETXID - 1);

static void expect_signal(int number, int code)
{
	const struct timespec now = { 0 };
	const uint64_t set = 1ull << (number - 1);
	siginfo_t info;

	EXPECT_EQ(syscall(SYS_rt_sigtimedwait, &set, &info, &now, sizeof(set)), number);
	EXPECT_EQ(info.si_code, code);
	EXPECT_EQ(syscall(SYS_rt_sigtimedwait, &set, &info, &now, sizeof(set)), -1);
}

int main(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGNAL_TIMER };
	const struct itimerspec soon = { .it_value = { 0, 1 } };
	siginfo_t info;
	uint64_t mask, default_action[4] = { 0 };
	pid_t child;
	int id, status;

	test_start();
	/* They may have been inherited ignored. */
	MUST(syscall(SYS_rt_sigaction, SIGNAL_TIMER, default_action, NULL, sizeof(uint64_t)));
	MUST(syscall(SYS_rt_sigaction, SIGNAL_SETXID, default_action, NULL, sizeof(uint64_t)));
	child = fork();
	if (child == 0) {
		MUST(syscall(SYS_tgkill, getpid(), gettid(), SIGNAL_TIMER));
		_exit(1);
	}
	MUST(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &both, NULL, sizeof(both)));
	event._sigev_un._tid = gettid();
	MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	MUST(syscall(SYS_timer_settime, id, 0, &soon, NULL));
	MUST(syscall(SYS_kill, getpid(), SIGNAL_SETXID));
	usleep(1000);
	test_wait();
	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask)));
	EXPECT_EQ(mask & both, both);
	expect_signal(SIGNAL_TIMER, SI_TIMER);
	expect_signal(SIGNAL_SETXID, SI_USER);
	status = test_reap(child);
	EXPECT_EQ(status, SIGNAL_TIMER);
	return test_pass();
}
