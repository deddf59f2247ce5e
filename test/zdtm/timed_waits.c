/*
 * Calls that wait for a span of time have waited for half of it when the dump comes. Each has to end on time, with the
 * result it would have had: neither early nor after another whole span. Only time that nobody could run in does not
 * count: a clock that ticks all the time notices it.
 *
 * Calls whose time limit stands in memory end with EINTR after any stop, and here as well: that, or on time.
 */
#include "zdtmlib.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <time.h>

#define SPAN_S     3
#define BEFORE_S   1.5
#define LATENESS_S 1.4 /* less than what was waited before */
#define GAP_S      0.1

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

static const struct timespec span = { .tv_sec = SPAN_S };
static volatile int ready;
static uint32_t word;

static double now_on(clockid_t clock)
{
	struct timespec now;

	MUST(clock_gettime(clock, &now));
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void in_nanosleep(void)
{
	struct timespec rest = { 7, 7 };

	EXPECT_EQ(syscall(SYS_nanosleep, &span, &rest), 0);
}

static void in_nanosleep_alone(void)
{
	EXPECT_EQ(syscall(SYS_nanosleep, &span, NULL), 0);
}

/* As sleep(3) does it. */
static void in_nanosleep_in_place(void)
{
	struct timespec both = span;

	EXPECT_EQ(syscall(SYS_nanosleep, &both, &both), 0);
}

static void sleep_on(clockid_t clock)
{
	EXPECT_EQ(syscall(SYS_clock_nanosleep, clock, 0, &span, NULL), 0);
}

static void in_clock_nanosleep(void)
{
	sleep_on(CLOCK_MONOTONIC);
}

static void in_clock_nanosleep_real(void)
{
	sleep_on(CLOCK_REALTIME);
}

static void in_clock_nanosleep_boot(void)
{
	sleep_on(CLOCK_BOOTTIME);
}

static void in_libc_sleep(void)
{
	EXPECT_EQ(sleep(SPAN_S), 0);
}

static void in_poll(void)
{
	EXPECT_EQ(syscall(SYS_poll, NULL, 0, SPAN_S * 1000), 0);
}

static void in_ppoll(void)
{
	EXPECT_EQ(ppoll(NULL, 0, &span, NULL), 0);
}

static void in_select(void)
{
	struct timeval left = { .tv_sec = SPAN_S };

	EXPECT_EQ(syscall(SYS_select, 0, NULL, NULL, NULL, &left), 0);
}

static void in_epoll_wait(void)
{
	struct epoll_event event;
	int fd = MUST(epoll_create1(0));

	EXPECT_EQ(syscall(SYS_epoll_wait, fd, &event, 1, SPAN_S * 1000), 0);
}

static void in_epoll_pwait(void)
{
	struct epoll_event event;
	int fd = MUST(epoll_create1(0));
	sigset_t mask;

	test_wait_mask(&mask);
	sigaddset(&mask, SIGTERM);
	EXPECT_EQ(epoll_pwait(fd, &event, 1, SPAN_S * 1000, &mask), 0);
}

static __thread bool was_interrupted;

/* error is what the end of the time is reported by; 0: by a result of 0. */
static void expect_end_or_interruption(long result, int error)
{
	int found = result < 0 ? errno : 0;

	was_interrupted = found == EINTR;
	if (!was_interrupted)
		EXPECT_EQ(found, error);
}

static void in_epoll_pwait2(void)
{
	struct epoll_event event;
	int fd = MUST(epoll_create1(0));

	expect_end_or_interruption(syscall(SYS_epoll_pwait2, fd, &event, 1, &span, NULL, 0), 0);
}

static void in_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	expect_end_or_interruption(sigtimedwait(&set, NULL, &span), EAGAIN);
}

static void in_futex(void)
{
	EXPECT_EQ(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &span), -1);
	EXPECT_EQ(errno, ETIMEDOUT);
}

static void in_futex_private(void)
{
	EXPECT_EQ(syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &span), -1);
	EXPECT_EQ(errno, ETIMEDOUT);
}

static void in_cond_wait(void)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
	struct timespec until;

	MUST(clock_gettime(CLOCK_REALTIME, &until));
	until.tv_sec += SPAN_S;
	pthread_mutex_lock(&lock);
	EXPECT_EQ(pthread_cond_timedwait(&cond, &lock, &until), ETIMEDOUT);
}

static const struct wait {
	const char *name;
	void (*act)(void);
	bool has_point; /* in time: does not wait longer for what nobody could run in */
} waits[] = {
	{ "nanosleep", in_nanosleep, false },
	{ "nanosleep without remainder", in_nanosleep_alone, false },
	{ "nanosleep with one variable", in_nanosleep_in_place, false },
	{ "clock_nanosleep MONOTONIC", in_clock_nanosleep, false },
	{ "clock_nanosleep REALTIME", in_clock_nanosleep_real, false },
	{ "clock_nanosleep BOOTTIME", in_clock_nanosleep_boot, false },
	{ "sleep", in_libc_sleep, false },
	{ "poll", in_poll, false },
	{ "ppoll", in_ppoll, false },
	{ "select", in_select, false },
	{ "epoll_wait", in_epoll_wait, false },
	{ "epoll_pwait2", in_epoll_pwait2, false },
	{ "sigtimedwait", in_sigtimedwait, false },
	{ "epoll_pwait", in_epoll_pwait, false },
	{ "futex", in_futex, false },
	{ "futex private", in_futex_private, false },
	{ "pthread_cond_timedwait", in_cond_wait, true },
};
enum { COUNT = sizeof(waits) / sizeof(waits[0]) };

static double begun[COUNT + 1], ended[COUNT + 1]; /* 0: by an interruption */
static volatile double gaps;                      /* seconds in which the clock did not tick */

static void *act(void *arg)
{
	size_t i = (size_t)arg;

	begun[i] = now_on(CLOCK_MONOTONIC);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	waits[i].act();
	ended[i] = was_interrupted ? 0 : now_on(CLOCK_MONOTONIC);
	return NULL;
}

static void *tick(void *arg)
{
	double last = now_on(CLOCK_MONOTONIC), now;
	struct timespec until;

	(void)arg;
	for (;;) {
		MUST(clock_gettime(CLOCK_MONOTONIC, &until));
		until.tv_nsec += 30000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		now = now_on(CLOCK_MONOTONIC);
		if (now - last > GAP_S)
			gaps += now - last;
		last = now;
	}
	return NULL;
}

static void check(size_t i)
{
	double waited = ended[i] - begun[i];

	if (!ended[i])
		return;
	if (waited < SPAN_S)
		FAIL("%s: came back after %.3f s instead of %d", waits[i].name, waited, SPAN_S);
	if (waited > SPAN_S + LATENESS_S + gaps)
		FAIL("%s: came back after %.3f s instead of %d, of which %.3f s were gaps", waits[i].name, waited,
		     SPAN_S, gaps);
}

/* The leader waits as well, in the way that test programs mostly do not. */
int main(void)
{
	pthread_t threads[COUNT], ticker;
	sigset_t mask;

	test_start();
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	EXPECT_EQ(pthread_create(&ticker, NULL, tick, NULL), 0);
	for (size_t i = 0; i < COUNT; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, act, (void *)i), 0);
	while (ready < COUNT)
		usleep(1000);
	usleep((useconds_t)(BEFORE_S * 1e6));
	test_wait_mask(&mask);
	test_ready();
	begun[COUNT] = now_on(CLOCK_MONOTONIC);
	EXPECT_EQ(syscall(SYS_nanosleep, &span, NULL), 0);
	ended[COUNT] = now_on(CLOCK_MONOTONIC);
	for (size_t i = 0; i < COUNT; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < COUNT; i++)
		check(i);
	if (ended[COUNT] - begun[COUNT] < SPAN_S)
		FAIL("the leader came back after %.3f s", ended[COUNT] - begun[COUNT]);
	while (!test_told())
		EXPECT(sigsuspend(&mask) < 0);
	return test_pass();
}
