/*
 * What is taken elsewhere: in a session of its own it says READY, and checks itself at SIGTERM: PASS, or FAIL with what
 * was found.
 *
 *	keeper clocks     two clocks that never run backwards, timers and a sleep with points in time that still hold
 *	keeper death      wants SIGUSR1 at the end of its parent
 *	keeper core       has a child that dumped a core and was not waited for
 *	keeper ended      its first thread ends, another one goes on
 *	keeper idle
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define NS 1000000000ll

static volatile sig_atomic_t told;

static void on_told(int signo)
{
	(void)signo;
	told = 1;
}

#define FAIL(...)                                                                                                      \
	do {                                                                                                           \
		printf("FAIL ");                                                                                       \
		printf(__VA_ARGS__);                                                                                   \
		printf("\n");                                                                                          \
		exit(1);                                                                                               \
	} while (0)

static void wait_until_told(void)
{
	sigset_t set, old;

	printf("READY\n");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	sigdelset(&old, SIGTERM);
	while (!told)
		sigsuspend(&old);
}

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

/* --- clocks ------------------------------------------------------------------------------------------------------ */

static volatile int64_t seen[2];
static const clockid_t clocks[2] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME };

/* Reads them all the time: by the vdso and by the system call. */
static void *watch(void *arg)
{
	for (;; usleep(500))
		for (int i = 0; i < 2; i++) {
			struct timespec now;
			int64_t by_vdso = read_clock(clocks[i]), by_call;

			syscall(SYS_clock_gettime, clocks[i], &now);
			by_call = now.tv_sec * NS + now.tv_nsec;
			if (by_vdso < seen[i] || by_call < by_vdso)
				FAIL("clock %d: %lld, then %lld, then %lld", clocks[i], (long long)seen[i],
				     (long long)by_vdso, (long long)by_call);
			seen[i] = by_call;
		}
	return arg;
}

/* Wakes up at a point in time that it has from before. */
static void *sleep_until(void *arg)
{
	const struct timespec *point = arg;

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, point, NULL) == EINTR)
		;
	if (read_clock(CLOCK_MONOTONIC) < point->tv_sec * NS + point->tv_nsec)
		FAIL("woken up too early");
	return arg;
}

static void expect_left(const char *what, const struct itimerspec *left, long seconds)
{
	if (left->it_value.tv_sec > seconds || left->it_value.tv_sec < seconds - 500)
		FAIL("%s: %ld s are left of %ld s", what, (long)left->it_value.tv_sec, seconds);
}

static void keep_clocks(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct itimerspec in = { .it_value = { 1000, 0 }, .it_interval = { 7, 0 } }, at = in, left;
	struct timespec point;
	pthread_t watcher, sleeper;
	timer_t timers[3];
	int fds[2];

	clock_gettime(CLOCK_MONOTONIC, &at.it_value);
	point = at.it_value;
	at.it_value.tv_sec += 1000;
	point.tv_sec += 1;
	timer_create(CLOCK_MONOTONIC, &event, &timers[0]);
	timer_settime(timers[0], TIMER_ABSTIME, &at, NULL);
	timer_create(CLOCK_BOOTTIME, &event, &timers[1]);
	timer_settime(timers[1], 0, &in, NULL);
	timer_create(CLOCK_REALTIME, &event, &timers[2]);
	timer_settime(timers[2], 0, &in, NULL);
	fds[0] = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(fds[0], TFD_TIMER_ABSTIME, &at, NULL);
	fds[1] = timerfd_create(CLOCK_BOOTTIME, 0);
	timerfd_settime(fds[1], 0, &in, NULL);
	pthread_create(&watcher, NULL, watch, NULL);
	pthread_create(&sleeper, NULL, sleep_until, &point);
	wait_until_told();
	for (int i = 0; i < 3; i++) {
		timer_gettime(timers[i], &left);
		expect_left("timer", &left, 1000);
	}
	for (int i = 0; i < 2; i++) {
		timerfd_gettime(fds[i], &left);
		expect_left("timerfd", &left, 1000);
	}
	pthread_join(sleeper, NULL);
	if (fork() == 0) {
		for (int i = 0; i < 2; i++)
			if (read_clock(clocks[i]) < seen[i])
				_exit(1);
		_exit(0);
	}
	int status = -1;
	wait(&status);
	if (status)
		FAIL("a child's clocks are others");
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t is_orphan;

static void on_death(int signo)
{
	(void)signo;
	is_orphan = 1;
}

static void keep_death(void)
{
	int signo = 0;

	signal(SIGUSR1, on_death);
	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	wait_until_told();
	if (is_orphan)
		FAIL("it was told that its parent has ended");
	prctl(PR_GET_PDEATHSIG, &signo);
	if (signo != SIGUSR1)
		FAIL("the signal for the parent's end is %d", signo);
}

static void keep_core(void)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit some = { 65536, 65536 };

		setrlimit(RLIMIT_CORE, &some);
		raise(SIGSEGV);
	}
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	if (info.si_code != CLD_DUMPED) {
		printf("SKIP no core is dumped here\n");
		exit(0);
	}
	wait_until_told();
	waitid(P_PID, pid, &info, WEXITED);
	if (info.si_code != CLD_DUMPED || info.si_status != SIGSEGV)
		FAIL("its child's end is %d, %d", info.si_code, info.si_status);
}

/* --- ended ------------------------------------------------------------------------------------------------------- */

static void *outlive(void *arg)
{
	usleep(10000);
	wait_until_told();
	printf("PASS\n");
	exit(0);
	return arg;
}

static void keep_ended(void)
{
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (pthread_create(&thread, NULL, outlive, NULL) != 0)
		FAIL("pthread_create");
	syscall(SYS_exit, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*keep)(void);
	} kinds[] = {
		{ "clocks", keep_clocks }, { "death", keep_death },     { "core", keep_core },
		{ "ended", keep_ended },   { "idle", wait_until_told },
	};

	(void)setsid();
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, on_told);
	for (size_t i = 0; argc == 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, argv[1])) {
			kinds[i].keep();
			printf("PASS\n");
			return 0;
		}
	return 2;
}
