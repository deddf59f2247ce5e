/*
 * Timers that expire all the time, also while the checkpoint looks at them: each that is set gives one signal, none is
 * lost and none comes twice. POSIX timers that share a signal, of the process and of a thread, each set once and again;
 * the interval timer, set once and with an interval. With "many": in more processes, that are alike when no timer runs.
 */
#include "zdtmlib.h"

#include <time.h>
#include <sys/time.h>

#define TIMERS     12
#define CHILDREN   40
#define QUIET_NS   60000000
#define PATIENCE_S 60 /* on a busy machine */

static volatile int stop;

struct timers {
	int signal, ids[TIMERS];
	bool is_set[TIMERS];
	unsigned int seed;
};

static void set_timer(struct timers *timers, int i)
{
	struct itimerspec set = { .it_value = { 0, 0 } };

	timers->seed = timers->seed * 1103515245 + 12345;
	set.it_value.tv_nsec = 500000 + timers->seed / 65536 % 20000 * 1000;
	MUST(syscall(SYS_timer_settime, timers->ids[i], 0, &set, NULL));
	timers->is_set[i] = true;
}

static void start_timers(struct timers *timers, int signal, int notify)
{
	timers->signal = timers->seed = signal;
	for (int i = 0; i < TIMERS; i++) {
		struct sigevent event = { .sigev_notify = notify, .sigev_signo = signal, .sigev_value.sival_int = i };

		event._sigev_un._tid = gettid();
		MUST(syscall(SYS_timer_create, i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &event, &timers->ids[i]));
		set_timer(timers, i);
	}
}

/* What the next of these signals says, -1 when there is none for so long. */
static int next_signal(int signal, long seconds, long ns, siginfo_t *ret)
{
	const struct timespec limit = { seconds, ns };
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, signal);
	/* With a limit every stop ends it. */
	do
		r = sigtimedwait(&set, ret, &limit);
	while (r < 0 && errno == EINTR);
	return r;
}

static int count_set(const struct timers *timers)
{
	int count = 0;

	for (int i = 0; i < TIMERS; i++)
		count += timers->is_set[i];
	return count;
}

static void take_signal(struct timers *timers)
{
	siginfo_t info;
	int i;

	if (next_signal(timers->signal, PATIENCE_S, 0, &info) < 0)
		FAIL("%d timers are set, and none expires", count_set(timers));
	EXPECT_EQ(info.si_code, SI_TIMER);
	i = info.si_value.sival_int;
	EXPECT(i >= 0 && i < TIMERS);
	if (!timers->is_set[i])
		FAIL("timer %d has expired, and does again", i);
	timers->is_set[i] = false;
}

static void run_timers(struct timers *timers)
{
	siginfo_t info;

	while (!stop) {
		take_signal(timers);
		for (int i = 0; i < TIMERS; i++)
			if (!timers->is_set[i])
				set_timer(timers, i);
	}
	while (count_set(timers))
		take_signal(timers);
	if (next_signal(timers->signal, 0, QUIET_NS, &info) > 0)
		FAIL("no timer is set, and timer %d expires", info.si_value.sival_int);
}

static void *of_thread(void *arg)
{
	struct timers timers;

	start_timers(&timers, SIGRTMIN + 2, SIGEV_THREAD_ID);
	run_timers(&timers);
	return arg;
}

static void of_child(void *arg)
{
	const bool once = arg != NULL;
	const struct itimerval again = { { 0, 3000 }, { 0, 3000 } }, none = { { 0, 0 }, { 0, 0 } };
	struct itimerval first = { { 0, 0 }, { 0, 1000 } };
	siginfo_t info;

	MUST(setitimer(ITIMER_REAL, once ? &first : &again, NULL));
	child_ready();
	while (!test_told()) {
		if (next_signal(SIGALRM, PATIENCE_S, 0, &info) < 0)
			FAIL("the interval timer, set %s, does not expire", once ? "once" : "with an interval");
		first.it_value.tv_usec = 1000 + (first.it_value.tv_usec * 7 + 311) % 4000;
		if (once)
			MUST(setitimer(ITIMER_REAL, &first, NULL));
	}
	if (!once)
		MUST(setitimer(ITIMER_REAL, &none, NULL));
	else if (next_signal(SIGALRM, PATIENCE_S, 0, &info) < 0)
		FAIL("the interval timer, set for the last time, does not expire");
	else if (next_signal(SIGALRM, 0, QUIET_NS, &info) > 0)
		FAIL("the interval timer has expired, and does again");
}

int main(int argc, char **argv)
{
	struct timers timers;
	pthread_t thread;
	pid_t children[CHILDREN];
	const int child_count = argc > 1 ? CHILDREN : 4;
	sigset_t set;

	(void)argv;

	test_start();
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	for (int i = 1; i <= 2; i++)
		sigaddset(&set, SIGRTMIN + i);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	test_wait_mask(&set);
	MUST(sigprocmask(SIG_SETMASK, &set, NULL));
	for (int i = 0; i < child_count; i++)
		children[i] = test_fork(of_child, i % 2 ? &set : NULL);
	EXPECT_EQ(pthread_create(&thread, NULL, of_thread, NULL), 0);
	start_timers(&timers, SIGRTMIN + 1, SIGEV_SIGNAL);
	test_ready();
	while (!test_told()) {
		take_signal(&timers);
		for (int i = 0; i < TIMERS; i++)
			if (!timers.is_set[i])
				set_timer(&timers, i);
	}
	stop = 1;
	run_timers(&timers);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	for (int i = 0; i < child_count; i++)
		test_end_child(children[i]);
	return test_pass();
}
