/*
 * The tracer is killed at each of its system calls in turn, at random moments, and the rescuer too; afterwards the
 * target must be as if nothing had been there: mappings, masks, registers, every thread running, every waiting call
 * unharmed. Two of its threads get a signal all the time, so that handlers run on top of everything we leave behind.
 */
#include "harness.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The kernel fills only the beginning of a sigset_t. */
#define KERNEL_MASK_BYTES 8

#define THREADS      9
#define SLEEP_NS     3000000L
#define MAX_STOPS    20000
#define RANDOM_KILLS 300

static struct shared *target_shared;
long check_registers(volatile uint64_t *ticks, volatile int *stop, const void *patterns);

/* --- the target's threads ----------------------------------------------------------------------------------------- */

static void *keep_registers(void *arg)
{
	static uint32_t patterns[32 * 16];
	long wrong;

	for (uint32_t i = 0; i < 32 * 16; i++)
		patterns[i] = i * 0x9e3779b9;
	target_shared->ready++;
	if (!__builtin_cpu_supports("avx512f"))
		for (;;)
			target_shared->ticks[1]++;
	wrong = check_registers(&target_shared->ticks[1], &target_shared->stop, patterns);
	target_fail(target_shared, "register %ld has changed", wrong);
	return NULL;
}

static void handle(int signal)
{
	target_shared->signals++;
}

static void start_timer(int signal, long interval_ns)
{
	struct sigaction action = { .sa_handler = handle };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal };
	struct itimerspec when = { { 0, interval_ns }, { 0, interval_ns } };
	timer_t timer;

	event._sigev_un._tid = gettid();
	(void)sigaction(signal, &action, NULL);
	(void)timer_create(CLOCK_MONOTONIC, &event, &timer);
	(void)timer_settime(timer, 0, &when, NULL);
}

static void *keep_pausing(void *arg)
{
	sigset_t own, now;

	(void)pthread_sigmask(SIG_BLOCK, NULL, &own);
	start_timer(SIGUSR1, 500000);
	target_shared->ready++;
	for (;;) {
		(void)pthread_sigmask(SIG_BLOCK, NULL, &now);
		if (memcmp(&now, &own, KERNEL_MASK_BYTES) != 0)
			target_fail(target_shared, "pause: the mask is not what it was");
		if (pause() != -1 || errno != EINTR)
			target_fail(target_shared, "pause: %s", strerror(errno));
		target_shared->ticks[2]++;
	}
	return NULL;
}

static void check_call(const char *name, uint64_t begin, long result, long expected, int expected_errno)
{
	if (result != expected || (result < 0 && errno != expected_errno))
		target_fail(target_shared, "%s: expected %ld, found %ld (%s)", name, expected, result, strerror(errno));
	if (now_ns() - begin < SLEEP_NS)
		target_fail(target_shared, "%s: only %lu us", name, (now_ns() - begin) / 1000);
}

static void *keep_sleeping(void *arg)
{
	const struct timespec ts = { 0, SLEEP_NS };

	target_shared->ready++;
	for (;;) {
		uint64_t begin = now_ns();

		check_call("nanosleep", begin, nanosleep(&ts, NULL), 0, 0);
		target_shared->ticks[3]++;
	}
	return NULL;
}

static void *keep_waiting(void *arg)
{
	const struct timespec ts = { 0, SLEEP_NS };
	int word = 0;

	target_shared->ready++;
	for (;;) {
		uint64_t begin = now_ns();

		check_call("futex", begin, syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ts, NULL, 0), -1, ETIMEDOUT);
		target_shared->ticks[4]++;
	}
	return NULL;
}

static void *keep_polling(void *arg)
{
	struct pollfd fd = { target_shared->pipe_fds[0], POLLIN, 0 };

	target_shared->ready++;
	for (;;) {
		uint64_t begin = now_ns();

		check_call("poll", begin, poll(&fd, 1, SLEEP_NS / 1000000), 0, 0);
		target_shared->ticks[5]++;
	}
	return NULL;
}

static void *keep_suspending(void *arg)
{
	sigset_t blocked, mask, now;

	(void)sigemptyset(&blocked);
	(void)sigaddset(&blocked, SIGUSR2);
	(void)pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	start_timer(SIGUSR2, 700000);
	(void)sigemptyset(&mask);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	target_shared->ready++;
	for (;;) {
		if (sigsuspend(&mask) != -1 || errno != EINTR)
			target_fail(target_shared, "sigsuspend: %s", strerror(errno));
		(void)pthread_sigmask(SIG_BLOCK, NULL, &now);
		if (memcmp(&now, &blocked, KERNEL_MASK_BYTES) != 0)
			target_fail(target_shared, "sigsuspend: the mask is not what it was");
		target_shared->ticks[6]++;
	}
	return NULL;
}

static void *keep_epolling(void *arg)
{
	struct itimerspec when = { { 0, SLEEP_NS }, { 0, SLEEP_NS } };
	struct epoll_event event = { .events = EPOLLIN };
	int timer = timerfd_create(CLOCK_MONOTONIC, 0), fd = epoll_create1(0);
	uint64_t count;

	(void)timerfd_settime(timer, 0, &when, NULL);
	(void)epoll_ctl(fd, EPOLL_CTL_ADD, timer, &event);
	target_shared->ready++;
	for (;;) {
		long r = epoll_wait(fd, &event, 1, -1);

		/* Any stop makes it return EINTR, and a tracer that is killed at once has no time to mend that. */
		if (r != 1 && errno != EINTR)
			target_fail(target_shared, "epoll_wait: %ld (%s)", r, strerror(errno));
		(void)!read(timer, &count, sizeof(count));
		target_shared->ticks[7]++;
	}
	return NULL;
}

static volatile char selector;
static volatile int caught;

/* Returning from here is a system call, too. */
static void catch_call(int signal)
{
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	caught = 1;
}

static void *keep_catching(void *arg)
{
	struct sigaction action = { .sa_handler = catch_call, .sa_flags = SA_NODEFER };

	(void)sigaction(SIGSYS, &action, NULL);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) < 0)
		target_fail(target_shared, "PR_SET_SYSCALL_USER_DISPATCH: %s", strerror(errno));
	target_shared->ready++;
	for (;;) {
		selector = SYSCALL_DISPATCH_FILTER_BLOCK;
		for (int i = 0; i < 1000; i++)
			target_shared->ticks[8]++;
		caught = 0;
		(void)getppid();
		if (!caught)
			target_fail(target_shared, "a system call was not caught");
	}
	return NULL;
}

static void busy_target(struct shared *shared)
{
	void *(*const functions[])(void *) = { keep_registers, keep_pausing,    keep_sleeping, keep_waiting,
					       keep_polling,   keep_suspending, keep_epolling, keep_catching };
	pthread_t thread;

	target_shared = shared;
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		(void)pthread_create(&thread, NULL, functions[i], NULL);
		while (shared->ready == (int)i)
			(void)usleep(100);
	}
	shared->ready++;
	for (;;) {
		shared->ticks[0]++;
		(void)usleep(1000);
	}
}

/* --- processes that are killed ------------------------------------------------------------------------------------ */

static struct compel_journal *make_journal(void)
{
	size_t bytes = compel_journal_bytes(4, 64);
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	compel_journal_init(p, 4, 64);
	return p;
}

static void free_journal(struct compel_journal *journal)
{
	(void)munmap(journal, compel_journal_bytes(4, 64));
}

enum victim { VICTIM_TRACER, VICTIM_RESCUER };

static pid_t start_victim(enum victim victim, const struct target *target, struct compel_journal *journal, bool traced)
{
	struct cycle cycle = { .journal = journal, .seize_flags = COMPEL_SEIZE_SUSPEND_SECCOMP };
	struct compel_error err = { 0 };
	pid_t pid;
	int r;

	(void)fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	if (traced) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGSTOP);
	}
	r = victim == VICTIM_TRACER ? run_cycle(target, &cycle, &err) : compel_rescue(journal, &err);
	if (r)
		printf("     %s\n", err.text);
	_exit(r != 0);
}

static int reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	return status;
}

/* Waiting changes nothing, and how often it is done depends on the machine's load. */
static bool is_waiting(pid_t victim)
{
	long number = ptrace(PTRACE_PEEKUSER, victim, offsetof(struct user, regs.orig_rax), NULL);

	return number == SYS_waitid || number == SYS_sched_yield || number == SYS_clock_nanosleep;
}

/* Lets it make so many entries into and exits from system calls, then kills it. *ret_ended: it has ended by itself. */
static int kill_at_stop(pid_t victim, int stops, bool *ret_ended)
{
	int status = 0;

	*ret_ended = true;
	if (waitpid(victim, &status, 0) != victim || !WIFSTOPPED(status))
		return test_fail("the victim does not start");
	while (stops-- > 0) {
		(void)ptrace(PTRACE_SYSCALL, victim, NULL, NULL);
		if (waitpid(victim, &status, 0) != victim)
			return test_fail("the victim is gone");
		if (!WIFSTOPPED(status))
			return status ? test_fail("the victim has failed") : 0;
		stops += is_waiting(victim);
	}
	*ret_ended = false;
	(void)kill(victim, SIGKILL);
	(void)reap(victim);
	return 0;
}

static int check_unharmed(const struct target *target, const struct snapshot *before, const char *what, int number)
{
	uint64_t ticks[THREADS], deadline = now_ns() + PATIENCE_NS;
	const char *differs = snapshot_differs(before, target->pid);

	if (differs)
		return test_fail("%s %d: %s", what, number, differs);
	for (int i = 0; i < THREADS; i++)
		ticks[i] = target->shared->ticks[i];
	for (int i = 0; i < THREADS; i++)
		while (target->shared->ticks[i] < ticks[i] + 2) {
			(void)usleep(200);
			if (now_ns() > deadline)
				return test_fail("%s %d: thread %d does not run on", what, number, i);
		}
	if (target->shared->failure[0])
		return test_fail("%s %d: %s", what, number, (const char *)target->shared->failure);
	return 0;
}

static int rescue_and_check(const struct target *target, struct compel_journal *journal, const struct snapshot *before,
			    const char *what, int number)
{
	struct compel_error err = { 0 };
	uint64_t begin = now_ns();
	int r = compel_rescue(journal, &err);

	if (r)
		return test_fail("%s %d: %d tasks not rescued: %s", what, number, r, err.text);
	if (now_ns() - begin > 1500000000ULL)
		return test_fail("%s %d: the rescue took %lu ms", what, number, (now_ns() - begin) / 1000000);
	return check_unharmed(target, before, what, number);
}

/* Masks are compared for all but the threads that take signals, where it depends on the moment; they check themselves.
 */
static void take_snapshot(const struct target *target, struct snapshot *ret_before)
{
	snapshot_take(target->pid, ret_before);
	ret_before->threads[2].blocked[0] = 0;
	ret_before->threads[6].blocked[0] = 0;
}

static int sweep(bool random)
{
	struct target target = target_start(busy_target, THREADS);
	struct compel_journal *journal;
	struct snapshot before;
	bool ended = false;
	int failed = 0, n;

	take_snapshot(&target, &before);
	for (n = 0; !failed && !ended && n < (random ? RANDOM_KILLS : MAX_STOPS); n++) {
		pid_t victim;

		journal = make_journal();
		victim = start_victim(VICTIM_TRACER, &target, journal, !random);
		if (random) {
			(void)usleep((unsigned int)rand() % 4000);
			(void)kill(victim, SIGKILL);
			(void)reap(victim);
		} else {
			failed = kill_at_stop(victim, n, &ended);
		}
		/* Sometimes late: what was left behind has then been running for a while. */
		if (n % 3 == 0)
			(void)usleep(2000);
		if (!failed)
			failed = rescue_and_check(&target, journal, &before, random ? "random kill" : "stop", n);
		free_journal(journal);
	}
	if (!failed && !random)
		printf("     %d places to be killed at\n", n);
	snapshot_done(&before);
	target_kill(&target);
	return failed;
}

static int test_sweep(void)
{
	return sweep(false);
}

static int test_random(void)
{
	return sweep(true);
}

static int test_rescuer_killed(void)
{
	struct target target = target_start(busy_target, THREADS);
	struct snapshot before;
	int failed = 0;

	take_snapshot(&target, &before);
	for (int n = 0; !failed && n < 150; n++) {
		struct compel_journal *journal = make_journal();
		bool ended;

		failed = kill_at_stop(start_victim(VICTIM_TRACER, &target, journal, true), 20 + rand() % 260, &ended);
		if (!failed)
			failed =
			    kill_at_stop(start_victim(VICTIM_RESCUER, &target, journal, true), rand() % 150, &ended);
		if (!failed)
			failed = rescue_and_check(&target, journal, &before, "second rescue", n);
		free_journal(journal);
	}
	snapshot_done(&before);
	target_kill(&target);
	return failed;
}

static int test_dead_target(void)
{
	struct target target = target_start(busy_target, THREADS);
	struct compel_journal *journal = make_journal();
	struct compel_error err = { 0 };
	bool ended;
	int failed = kill_at_stop(start_victim(VICTIM_TRACER, &target, journal, true), 200, &ended);

	target_kill(&target);
	if (!failed && compel_rescue(journal, &err) != 0)
		failed = test_fail("%s", err.text);
	free_journal(journal);
	return failed;
}

const struct test rescue_tests[] = {
	{ "rescue: the tracer is killed at each system call", test_sweep },
	{ "rescue: the tracer is killed at random moments", test_random },
	{ "rescue: the rescuer is killed too", test_rescuer_killed },
	{ "rescue: the target has died as well", test_dead_target },
	{ 0 },
};
