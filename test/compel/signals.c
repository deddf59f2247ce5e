/* Stopped targets, and signals that arrive at every stage: none is lost, doubled or out of order. */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STILL_NS 300000000ULL

static void ticking_target(struct shared *shared)
{
	shared->ready = 1;
	for (;;) {
		shared->ticks[0]++;
		(void)usleep(1000);
	}
}

/* Where it should not run, it is not waited for as long. */
static bool is_ticking(const struct target *target, uint64_t patience_ns)
{
	const uint64_t before = target->shared->ticks[0], deadline = now_ns() + patience_ns;

	while (target->shared->ticks[0] == before && now_ns() < deadline)
		sleep_ms(1);
	return target->shared->ticks[0] != before;
}

static bool wait_for(pid_t pid, int options, int *ret_status)
{
	const uint64_t deadline = now_ns() + PATIENCE_NS;

	do {
		if (waitpid(pid, ret_status, options | WNOHANG) == pid)
			return true;
		sleep_ms(1);
	} while (now_ns() < deadline);
	return false;
}

static int check_stopped(const struct target *target)
{
	const uint64_t deadline = now_ns() + PATIENCE_NS;
	int status;

	sleep_ms(20);
	/* It has to run once more to find that it is stopped. */
	while (thread_state(target->pid, target->pid) != 'T' && now_ns() < deadline)
		sleep_ms(1);
	if (thread_state(target->pid, target->pid) != 'T')
		return test_fail("expected state T, found %c", thread_state(target->pid, target->pid));
	if (waitpid(target->pid, &status, WUNTRACED | WNOHANG) != 0)
		return test_fail("its parent is told a second time that it has stopped");
	if (is_ticking(target, STILL_NS))
		return test_fail("it is stopped, but runs");
	return 0;
}

static int check_continued(const struct target *target)
{
	int status;

	if (!wait_for(target->pid, WCONTINUED, &status) || !WIFCONTINUED(status))
		return test_fail("its parent is not told that it goes on");
	return is_ticking(target, PATIENCE_NS) ? 0 : test_fail("it does not go on");
}

/* The end of a test whose target is to run in the end. */
static int end_running(struct target *target, int failed)
{
	if (!failed)
		failed = check_continued(target);
	target_kill(target);
	return failed;
}

static int at_each_stage(int (*test)(enum stage stage))
{
	int failed = 0;

	for (int stage = STAGE_STOPPED; stage <= STAGE_DETACHED; stage++)
		failed |= test((enum stage)stage);
	return failed;
}

static void send_at(enum stage stage, const struct target *target, struct compel_task *task, void *arg)
{
	const int *what = arg;

	if ((int)stage == what[0])
		(void)kill(target->pid, what[1]);
}

/* A stop before the first cycle, one more cycle over it, then on. */
static int test_stopped(void)
{
	struct target target = target_start(ticking_target, 1);
	struct cycle cycle = { 0 };
	struct compel_error err;
	int failed = 0, status;

	(void)kill(target.pid, SIGSTOP);
	if (!wait_for(target.pid, WUNTRACED, &status))
		failed = test_fail("does not stop");
	for (int i = 0; !failed && i < 3; i++) {
		if (run_cycle(&target, &cycle, &err) < 0)
			failed = test_fail("%s", err.text);
		else
			failed = check_stopped(&target);
	}
	(void)kill(target.pid, SIGCONT);
	return end_running(&target, failed);
}

static int stop_at(enum stage stage)
{
	struct target target = target_start(ticking_target, 1);
	int what[2] = { (int)stage, SIGSTOP }, status, failed = 0;
	struct cycle cycle = { .hook = send_at, .arg = what };
	struct compel_error err;

	if (run_cycle(&target, &cycle, &err) < 0)
		failed = test_fail("stage %d: %s", (int)stage, err.text);
	if (!failed && (!wait_for(target.pid, WUNTRACED, &status) || !WIFSTOPPED(status)))
		failed = test_fail("stage %d: its parent is not told that it has stopped", (int)stage);
	if (!failed)
		failed = check_stopped(&target);
	(void)kill(target.pid, SIGCONT);
	return end_running(&target, failed);
}

static int test_stop_while_frozen(void)
{
	return at_each_stage(stop_at);
}

static int continue_at(enum stage stage)
{
	struct target target = target_start(ticking_target, 1);
	int what[2] = { (int)stage, SIGCONT }, status, failed = 0;
	struct cycle cycle = { .hook = send_at, .arg = what };
	struct compel_error err;

	(void)kill(target.pid, SIGSTOP);
	if (!wait_for(target.pid, WUNTRACED, &status))
		failed = test_fail("does not stop");
	if (run_cycle(&target, &cycle, &err) < 0)
		failed = test_fail("stage %d: %s", (int)stage, err.text);
	return end_running(&target, failed);
}

static int test_continue_while_frozen(void)
{
	return at_each_stage(continue_at);
}

/* --- a flood ---------------------------------------------------------------------------------------------------- */

static struct shared *flood_shared;

static void check_order(int signal, siginfo_t *info, void *context)
{
	int expected = flood_shared->signals;

	if (info->si_value.sival_int != expected)
		target_fail(flood_shared, "expected signal %d, found %d", expected, info->si_value.sival_int);
	if (info->si_code != SI_QUEUE)
		target_fail(flood_shared, "si_code is %d", info->si_code);
	flood_shared->signals = info->si_value.sival_int + 1;
}

static void flood_target(struct shared *shared)
{
	struct sigaction action = { .sa_sigaction = check_order, .sa_flags = SA_SIGINFO };

	flood_shared = shared;
	(void)sigaction(SIGRTMIN, &action, NULL);
	ticking_target(shared);
}

enum { FLOOD_SIGNALS = 6000, FLOOD_CYCLES = 20 };

/* So many at least, and until there were so many cycles. scratch[0] counts the cycles, scratch[1] the signals. */
static pid_t start_flood(const struct target *target)
{
	volatile long *cycles = &target->shared->scratch[0], *sent = &target->shared->scratch[1];
	pid_t sender = fork();

	if (sender != 0)
		return sender;
	while (*sent < FLOOD_SIGNALS || *cycles < FLOOD_CYCLES) {
		while (sigqueue(target->pid, SIGRTMIN, (union sigval){ .sival_int = (int)*sent }) < 0 &&
		       errno == EAGAIN)
			sleep_ms(1);
		++*sent;
		(void)usleep(20);
	}
	_exit(0);
}

static int test_flood(void)
{
	struct target target = target_start(flood_target, 1);
	struct cycle cycle = { 0 };
	struct compel_error err;
	pid_t sender = start_flood(&target);
	uint64_t deadline;
	int failed = 0;
	long count;

	while (!failed && waitpid(sender, NULL, WNOHANG) == 0) {
		if (run_cycle(&target, &cycle, &err) < 0)
			failed = test_fail("%s", err.text);
		target.shared->scratch[0]++;
	}
	if (failed) {
		(void)kill(sender, SIGKILL);
		(void)waitpid(sender, NULL, 0);
	}
	count = target.shared->scratch[1];
	deadline = now_ns() + PATIENCE_NS;
	while (!failed && target.shared->signals < count && now_ns() < deadline)
		sleep_ms(1);
	if (!failed && target.shared->failure[0])
		failed = test_fail("%s", (const char *)target.shared->failure);
	if (!failed && target.shared->signals != count)
		failed = test_fail("expected %ld signals, found %d after %ld cycles", count, target.shared->signals,
				   target.shared->scratch[0]);
	target_kill(&target);
	return failed;
}

/* --- the target's death ------------------------------------------------------------------------------------------- */

static int kill_at(enum stage stage)
{
	struct target target = target_start(ticking_target, 1);
	int what[2] = { (int)stage, SIGKILL };
	struct cycle cycle = { .hook = send_at, .arg = what };
	struct compel_error err;
	uint64_t begin = now_ns();
	int r = run_cycle(&target, &cycle, &err), failed = 0;

	if (r != -ESRCH && stage < STAGE_CURED)
		failed = test_fail("stage %d: expected ESRCH, found %s: %s", (int)stage, strerror(-r), err.text);
	/* Waited for, it would take as long as a cycle waits. */
	if (now_ns() - begin > PATIENCE_NS / 2)
		failed = test_fail("stage %d: took %lu ms", (int)stage, (now_ns() - begin) / 1000000);
	target_kill(&target);
	return failed;
}

static int test_killed(void)
{
	int failed = 0;

	for (int stage = STAGE_STOPPED; stage <= STAGE_DETACHED; stage++)
		failed |= kill_at((enum stage)stage);
	return failed;
}

const struct test signal_tests[] = {
	{ "signals: a stopped target stays stopped", test_stopped },
	{ "signals: SIGSTOP while frozen", test_stop_while_frozen },
	{ "signals: SIGCONT while frozen", test_continue_while_frozen },
	{ "signals: a flood arrives complete and in order", test_flood },
	{ "signals: the target is killed at each stage", test_killed },
	{ 0 },
};
