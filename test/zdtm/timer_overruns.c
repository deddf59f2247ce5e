/*
 * Expiries that a periodic timer has missed: those that its waiting signal stands for, and what timer_getoverrun()
 * tells of the last signal that was taken, also while other signals of its number wait. With an argument one whose own
 * next signal waits, or whose clock is that of processor time: what was missed before the last one is lost then.
 */
#include "zdtmlib.h"

#include <time.h>

#define PERIOD_NS 10000000l
#define MISSED    1000
#define TAKEN     7

static __thread bool to_thread;

static int create(clockid_t clock, int signo)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signo, .sigev_value.sival_int = signo };
	int id = -1;

	if (to_thread) {
		event.sigev_notify = SIGEV_THREAD_ID;
		event._sigev_un._tid = gettid();
	}
	MUST(syscall(SYS_timer_create, clock, &event, &id));
	return id;
}

/* So that it has expired so many times and once more, all at once, and does so again in half a period. */
static int start_in_the_past(clockid_t clock, int signo, long times, long period_ns)
{
	const int id = create(clock, signo);
	struct itimerspec set = { { period_ns / 1000000000, period_ns % 1000000000 }, { 0, 0 } };
	struct timespec now;
	int64_t first;

	MUST(clock_gettime(clock, &now));
	first = now.tv_sec * 1000000000l + now.tv_nsec - times * period_ns - period_ns / 2;
	set.it_value.tv_sec = first / 1000000000;
	set.it_value.tv_nsec = first % 1000000000;
	MUST(syscall(SYS_timer_settime, id, TIMER_ABSTIME, &set, NULL));
	return id;
}

static int take(int signo, int id)
{
	const struct timespec minute = { 60, 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	EXPECT_EQ(sigtimedwait(&set, &info, &minute), signo);
	EXPECT_EQ(info.si_code, SI_TIMER);
	EXPECT_EQ(info.si_timerid, id);
	EXPECT_EQ(info.si_value.sival_int, signo);
	return info.si_overrun;
}

/* Of those that wait, at least what was missed before, and not more than the time since then makes. */
static void check_waiting(int signo, int id, const struct timespec *since)
{
	const int overrun = take(signo, id);
	struct timespec now;
	int64_t passed_ns;

	MUST(clock_gettime(CLOCK_BOOTTIME, &now));
	passed_ns = (now.tv_sec - since->tv_sec) * 1000000000l + now.tv_nsec - since->tv_nsec;
	if (overrun < MISSED || overrun > MISSED + passed_ns / PERIOD_NS + 2)
		FAIL("signal %d: %d missed expiries, expected %d and one for each 10 ms of %ld", signo, overrun, MISSED,
		     (long)passed_ns);
	EXPECT_EQ(syscall(SYS_timer_getoverrun, id), overrun);
}

/* One that has told what it missed; then signals of its number wait, for the process and for its first thread. */
static int overrun_among_others(int signo)
{
	const int id = start_in_the_past(CLOCK_REALTIME, signo, TAKEN, 900000000000l);
	union sigval value = { .sival_int = 1 };

	EXPECT_EQ(take(signo, id), TAKEN);
	MUST(sigqueue(getpid(), signo, value));
	value.sival_int = 2;
	MUST(sigqueue(getpid(), signo, value));
	MUST(syscall(SYS_tgkill, getpid(), gettid(), signo));
	return id;
}

static void check_others(int signo)
{
	const struct timespec zero = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	EXPECT_EQ(sigtimedwait(&set, &info, &zero), signo);
	EXPECT_EQ(info.si_code, SI_USER); /* as the C library has it */
	for (int i = 1; i <= 2; i++) {
		EXPECT_EQ(sigtimedwait(&set, &info, &zero), signo);
		EXPECT_EQ(info.si_code, SI_QUEUE);
		EXPECT_EQ(info.si_value.sival_int, i);
	}
	EXPECT_EQ(sigtimedwait(&set, &info, &zero), -1);
}

static int of_thread[2];

/* Timers that send their signals to a thread that is not the first. */
static void thread(void)
{
	to_thread = true;
	of_thread[0] = start_in_the_past(CLOCK_REALTIME, SIGRTMIN + 5, TAKEN, 900000000000l);
	EXPECT_EQ(take(SIGRTMIN + 5, of_thread[0]), TAKEN);
	of_thread[1] = start_in_the_past(CLOCK_REALTIME, SIGRTMIN + 6, TAKEN + 1, 900000000000l);
	EXPECT_EQ(take(SIGRTMIN + 6, of_thread[1]), TAKEN + 1);
	MUST(syscall(SYS_tgkill, getpid(), gettid(), SIGRTMIN + 6));
	thread_wait();
}

/* The first one is taken; the next one comes after a moment, and stays. */
static int wait_with_own_signal(void)
{
	const struct timespec moment = { 0, 1000000 };
	sigset_t set, pending;
	int id;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	id = start_in_the_past(CLOCK_REALTIME, SIGRTMIN, TAKEN, 1000000000l);
	EXPECT_EQ(take(SIGRTMIN, id), TAKEN);
	do {
		MUST(nanosleep(&moment, NULL));
		MUST(sigpending(&pending));
	} while (!sigismember(&pending, SIGRTMIN));
	EXPECT_EQ(syscall(SYS_timer_getoverrun, id), TAKEN);
	test_wait();
	(void)take(SIGRTMIN, id);
	return test_pass();
}

static int use_time(void)
{
	const struct itimerspec set = { { 0, 300000000 }, { 0, 300000000 } };
	struct timespec now;
	sigset_t mask;
	int id;

	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	id = create(CLOCK_PROCESS_CPUTIME_ID, SIGRTMIN);
	MUST(syscall(SYS_timer_settime, id, 0, &set, NULL));
	do
		MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now));
	while (now.tv_sec < 1);
	EXPECT(take(SIGRTMIN, id) > 0);
	test_wait();
	EXPECT(syscall(SYS_timer_getoverrun, id) >= 0);
	return test_pass();
}

int main(int argc, char **argv)
{
	int wall, boot, taken, taken_wall, among;
	pthread_t id;
	struct itimerspec left;
	struct timespec start;
	long period_ns;
	sigset_t set;

	test_start();
	if (argc > 1)
		return strcmp(argv[1], "own") == 0 ? wait_with_own_signal() : use_time();
	sigemptyset(&set);
	for (int i = 0; i < 7; i++)
		sigaddset(&set, SIGRTMIN + i);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST(clock_gettime(CLOCK_BOOTTIME, &start));
	if (start.tv_sec < 1200)
		test_skip("the machine has been up for less than 20 minutes");
	wall = start_in_the_past(CLOCK_REALTIME, SIGRTMIN, MISSED, PERIOD_NS);
	boot = start_in_the_past(CLOCK_BOOTTIME, SIGRTMIN + 1, MISSED, PERIOD_NS);
	/* Its next expiry must not come before the end. */
	period_ns = start.tv_sec / (TAKEN + 2) * 1000000000l;
	taken = start_in_the_past(CLOCK_MONOTONIC, SIGRTMIN + 2, TAKEN, period_ns);
	EXPECT_EQ(take(SIGRTMIN + 2, taken), TAKEN);
	taken_wall = start_in_the_past(CLOCK_REALTIME, SIGRTMIN + 3, TAKEN, 900000000000l);
	EXPECT_EQ(take(SIGRTMIN + 3, taken_wall), TAKEN);
	among = overrun_among_others(SIGRTMIN + 4);
	id = test_thread(thread);
	test_wait();
	EXPECT_EQ(syscall(SYS_timer_getoverrun, among), TAKEN);
	check_others(SIGRTMIN + 4);
	EXPECT_EQ(syscall(SYS_timer_getoverrun, of_thread[0]), TAKEN);
	EXPECT_EQ(syscall(SYS_timer_getoverrun, of_thread[1]), TAKEN + 1);
	EXPECT_EQ(syscall(SYS_timer_getoverrun, taken), TAKEN);
	EXPECT_EQ(syscall(SYS_timer_getoverrun, taken_wall), TAKEN);
	MUST(syscall(SYS_timer_gettime, taken_wall, &left));
	if (left.it_value.tv_sec > 450 || left.it_value.tv_sec < 300 || left.it_interval.tv_sec != 900)
		FAIL("the timer has %ld of %ld s left", left.it_value.tv_sec, left.it_interval.tv_sec);
	check_waiting(SIGRTMIN, wall, &start);
	check_waiting(SIGRTMIN + 1, boot, &start);
	test_end_thread(id);
	return test_pass();
}
