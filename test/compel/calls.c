/*
 * Targets that wait in a system call. Each is stopped, runs our code twice and goes on: the call must neither fail with
 * EINTR nor end early nor last longer than it should, and what it waits for must still reach it. The exceptions are the
 * calls that the kernel itself ends with EINTR at any stop and that would wait too long if repeated.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* In units, which get longer with each attempt that a busy machine has made too late. */
#define TIMEOUT_MS (400 * slowness)
/* How late a timeout may be; an interrupted and restarted one would be 150 units late. */
#define LATE_MS  (120 * slowness)
#define ATTEMPTS 20
#define LATE     (-1)

enum wakeup { BY_TIMEOUT, BY_PIPE, BY_SIGNAL, BY_STOP };

struct waiting_call {
	const char *name;
	long (*call)(struct shared *shared);
	enum wakeup wakeup;
	long result, error;
};

static unsigned int slowness = 1;

/* TIMEOUT_MS */
static struct timespec timeout_ts;

static long call_nanosleep(struct shared *shared)
{
	struct timespec left;

	return nanosleep(&timeout_ts, &left);
}

static long call_clock_nanosleep(struct shared *shared)
{
	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &timeout_ts, NULL);
}

static long call_clock_nanosleep_absolute(struct shared *shared)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ts.tv_sec;
	until.tv_nsec += timeout_ts.tv_nsec;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static long call_poll(struct shared *shared)
{
	struct pollfd fd = { shared->pipe_fds[0], POLLIN, 0 };

	return poll(&fd, 1, (int)TIMEOUT_MS);
}

static long call_poll_event(struct shared *shared)
{
	struct pollfd fd = { shared->pipe_fds[0], POLLIN, 0 };

	return poll(&fd, 1, -1);
}

static long call_ppoll(struct shared *shared)
{
	struct pollfd fd = { shared->pipe_fds[0], POLLIN, 0 };
	sigset_t mask;

	(void)sigfillset(&mask);
	(void)sigdelset(&mask, SIGUSR1);
	return ppoll(&fd, 1, &timeout_ts, &mask);
}

static long call_ppoll_signal(struct shared *shared)
{
	struct pollfd fd = { shared->pipe_fds[0], POLLIN, 0 };
	sigset_t mask;

	(void)sigemptyset(&mask);
	return ppoll(&fd, 1, NULL, &mask);
}

static long call_select(struct shared *shared)
{
	struct timeval tv = { timeout_ts.tv_sec, timeout_ts.tv_nsec / 1000 };

	return select(0, NULL, NULL, NULL, &tv);
}

static long call_pselect_signal(struct shared *shared)
{
	sigset_t mask;

	(void)sigemptyset(&mask);
	return pselect(0, NULL, NULL, NULL, NULL, &mask);
}

static long call_futex(struct shared *shared)
{
	int word = 0;

	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &timeout_ts, NULL, 0);
}

static long call_epoll_event(struct shared *shared)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = epoll_create1(0);

	(void)epoll_ctl(fd, EPOLL_CTL_ADD, shared->pipe_fds[0], &event);
	return epoll_wait(fd, &event, 1, -1);
}

static long call_epoll_signal(struct shared *shared)
{
	struct epoll_event event;

	return epoll_wait(epoll_create1(0), &event, 1, -1);
}

static long call_epoll_timeout(struct shared *shared)
{
	struct epoll_event event;

	return epoll_wait(epoll_create1(0), &event, 1, (int)TIMEOUT_MS);
}

static long wait_semaphore(const struct timespec *timeout)
{
	int id = semget(IPC_PRIVATE, 1, 0600), saved;
	struct sembuf op = { 0, -1, 0 };
	long r = semtimedop(id, &op, 1, timeout);

	saved = errno;
	(void)semctl(id, 0, IPC_RMID);
	errno = saved;
	return r;
}

static long call_semtimedop(struct shared *shared)
{
	return wait_semaphore(&timeout_ts);
}

static long call_semop_signal(struct shared *shared)
{
	return wait_semaphore(NULL);
}

static long wait_signal(const struct timespec *timeout)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, timeout);
}

static long call_sigtimedwait(struct shared *shared)
{
	return wait_signal(&timeout_ts);
}

static long call_sigwaitinfo(struct shared *shared)
{
	return wait_signal(NULL);
}

static long call_pause(struct shared *shared)
{
	return pause();
}

static long call_sigsuspend(struct shared *shared)
{
	sigset_t mask;

	(void)sigemptyset(&mask);
	return sigsuspend(&mask);
}

static long call_read(struct shared *shared)
{
	char byte;

	return read(shared->pipe_fds[0], &byte, 1);
}

static long call_recv_timeout(struct shared *shared)
{
	struct timeval tv = { timeout_ts.tv_sec, timeout_ts.tv_nsec / 1000 };
	int fds[2];
	char byte;

	(void)socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return recv(fds[0], &byte, 1, 0);
}

static long call_msgrcv_signal(struct shared *shared)
{
	struct {
		long type;
		char text[1];
	} message;
	int id = msgget(IPC_PRIVATE, 0600), saved;
	long r = msgrcv(id, &message, 1, 0, 0);

	saved = errno;
	(void)msgctl(id, IPC_RMID, NULL);
	errno = saved;
	return r;
}

static const struct waiting_call calls[] = {
	{ "nanosleep", call_nanosleep, BY_TIMEOUT, 0, 0 },
	{ "clock_nanosleep", call_clock_nanosleep, BY_TIMEOUT, 0, 0 },
	{ "clock_nanosleep absolute", call_clock_nanosleep_absolute, BY_TIMEOUT, 0, 0 },
	{ "poll", call_poll, BY_TIMEOUT, 0, 0 },
	{ "poll event", call_poll_event, BY_PIPE, 1, 0 },
	{ "ppoll", call_ppoll, BY_TIMEOUT, 0, 0 },
	{ "ppoll signal", call_ppoll_signal, BY_SIGNAL, -1, EINTR },
	{ "select", call_select, BY_TIMEOUT, 0, 0 },
	{ "pselect signal", call_pselect_signal, BY_SIGNAL, -1, EINTR },
	{ "futex", call_futex, BY_TIMEOUT, -1, ETIMEDOUT },
	{ "epoll_wait event", call_epoll_event, BY_PIPE, 1, 0 },
	{ "epoll_wait signal", call_epoll_signal, BY_SIGNAL, -1, EINTR },
	{ "epoll_wait timeout", call_epoll_timeout, BY_STOP, -1, EINTR },
	{ "semtimedop timeout", call_semtimedop, BY_STOP, -1, EINTR },
	{ "semop signal", call_semop_signal, BY_SIGNAL, -1, EINTR },
	{ "sigtimedwait timeout", call_sigtimedwait, BY_STOP, -1, EINTR },
	{ "sigwaitinfo", call_sigwaitinfo, BY_SIGNAL, SIGUSR1, 0 },
	{ "pause", call_pause, BY_SIGNAL, -1, EINTR },
	{ "sigsuspend", call_sigsuspend, BY_SIGNAL, -1, EINTR },
	{ "read", call_read, BY_PIPE, 1, 0 },
	{ "recv timeout", call_recv_timeout, BY_STOP, -1, EINTR },
	{ "msgrcv signal", call_msgrcv_signal, BY_SIGNAL, -1, EINTR },
	{ 0 },
};

static const struct waiting_call *call_under_test;
static struct shared *handler_shared;

static void count_signal(int signal)
{
	handler_shared->signals++;
}

static bool has_own_mask(const struct waiting_call *call)
{
	return call->call == call_sigsuspend || call->call == call_ppoll_signal || call->call == call_pselect_signal;
}

static void waiting_target(struct shared *shared)
{
	struct sigaction action = { .sa_handler = count_signal, .sa_flags = SA_RESTART };
	sigset_t usr1, mask;
	uint64_t begin;

	handler_shared = shared;
	(void)sigaction(SIGUSR1, &action, NULL);
	(void)sigemptyset(&usr1);
	(void)sigaddset(&usr1, SIGUSR1);
	if (has_own_mask(call_under_test))
		(void)sigprocmask(SIG_BLOCK, &usr1, NULL);
	shared->ready = 1;
	errno = 0;
	begin = now_ns();
	shared->result = call_under_test->call(shared);
	shared->error = shared->result < 0 ? errno : 0;
	shared->elapsed_ns = now_ns() - begin;
	(void)sigprocmask(SIG_SETMASK, NULL, &mask);
	if (has_own_mask(call_under_test) && !sigismember(&mask, SIGUSR1))
		target_fail(shared, "SIGUSR1 is not blocked any more");
	shared->done = 1;
	for (;;)
		(void)usleep(1000000);
}

static void linger(enum stage stage, const struct target *target, struct compel_task *task, void *arg)
{
	if (stage == STAGE_FINISHED)
		sleep_ms(30 * slowness);
}

static void signal_frozen(enum stage stage, const struct target *target, struct compel_task *task, void *arg)
{
	if (stage == *(enum stage *)arg)
		(void)kill(target->pid, SIGUSR1);
}

/* A timeout that was late, or over before the stop that should have ended the call. */
static bool is_late(const struct waiting_call *call, const struct shared *shared)
{
	uint64_t elapsed_ms = shared->elapsed_ns / 1000000;

	if (call->wakeup == BY_TIMEOUT)
		return elapsed_ms > TIMEOUT_MS + LATE_MS;
	return call->wakeup == BY_STOP && elapsed_ms >= TIMEOUT_MS;
}

static int check_result(const struct waiting_call *call, struct shared *shared)
{
	uint64_t deadline = now_ns() + PATIENCE_NS, elapsed_ms;

	while (!shared->done && now_ns() < deadline)
		sleep_ms(1);
	elapsed_ms = shared->elapsed_ns / 1000000;
	if (!shared->done)
		return test_fail("%s: has not returned", call->name);
	if (shared->failure[0])
		return test_fail("%s: %s", call->name, (const char *)shared->failure);
	if (is_late(call, shared))
		return LATE;
	if (shared->result != call->result || shared->error != call->error)
		return test_fail("%s: expected %ld (%s), found %ld (%s)", call->name, call->result,
				 strerror((int)call->error), shared->result, strerror((int)shared->error));
	if (call->wakeup == BY_TIMEOUT && elapsed_ms < TIMEOUT_MS)
		return test_fail("%s: expected %u ms, found %lu ms", call->name, TIMEOUT_MS, elapsed_ms);
	if (call->wakeup == BY_SIGNAL && call->error == EINTR && shared->signals != 1)
		return test_fail("%s: handler has run %d times", call->name, shared->signals);
	return 0;
}

/* stage < 0: the signal comes after the second cycle. */
static int run_once(const struct waiting_call *call, int stage)
{
	struct cycle cycle = { .seize_flags = COMPEL_SEIZE_SUSPEND_SECCOMP };
	struct compel_error err;
	struct target target;
	int r = 0, failed = 0;

	call_under_test = call;
	target = target_start(waiting_target, 1);
	if (!wait_sleeping(target.pid))
		failed = test_fail("%s: does not sleep", call->name);
	sleep_ms(60 * slowness);
	cycle.hook = linger;
	r = run_cycle(&target, &cycle, &err);
	sleep_ms(60 * slowness);
	if (r == 0 && stage >= 0) {
		cycle.hook = signal_frozen;
		cycle.arg = &stage;
	}
	if (r == 0)
		r = run_cycle(&target, &cycle, &err);
	if (r < 0)
		failed = test_fail("%s: %s", call->name, err.text);
	sleep_ms(20);
	if (!failed && (call->wakeup == BY_PIPE || call->wakeup == BY_SIGNAL) && stage < 0 && target.shared->done)
		failed = test_fail("%s: returned %ld (%s) before its time", call->name, target.shared->result,
				   strerror((int)target.shared->error));
	if (call->wakeup == BY_PIPE)
		(void)!write(target.shared->pipe_fds[1], "x", 1);
	if (call->wakeup == BY_SIGNAL && stage < 0)
		(void)kill(target.pid, SIGUSR1);
	if (!failed)
		failed = check_result(call, target.shared);
	target_kill(&target);
	return failed;
}

static int run_call(const struct waiting_call *call, int stage)
{
	for (unsigned int i = 0; i < ATTEMPTS; i++) {
		int r;

		slowness = 1 + i / 4;
		timeout_ts = (struct timespec){ TIMEOUT_MS / 1000, TIMEOUT_MS % 1000 * 1000000L };
		r = run_once(call, stage);
		if (r != LATE)
			return r;
	}
	return test_fail("%s: is late each time", call->name);
}

static int test_calls(void)
{
	int failed = 0;

	for (const struct waiting_call *call = calls; call->name; call++)
		failed |= run_call(call, -1);
	return failed;
}

static int test_signal_while_frozen(void)
{
	const enum stage stages[] = { STAGE_STOPPED, STAGE_STARTED, STAGE_FINISHED, STAGE_CURED };
	int failed = 0;

	for (const struct waiting_call *call = calls; call->name; call++)
		for (size_t s = 0; call->wakeup == BY_SIGNAL && s < sizeof(stages) / sizeof(stages[0]); s++)
			failed |= run_call(call, (int)stages[s]);
	return failed;
}

const struct test call_tests[] = {
	{ "calls: waiting ones go on", test_calls },
	{ "calls: a signal while frozen is delivered afterwards", test_signal_while_frozen },
	{ 0 },
};
