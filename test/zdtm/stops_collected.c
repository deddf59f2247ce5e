/*
 * Stopped children of whose stop the parent has heard already, and others of which it has not: it is told neither twice
 * nor never, by signal or by wait(). A stopped child with stopped children of its own is among them.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

static volatile sig_atomic_t children_heard;
static volatile int *stage;

static void count(int signo)
{
	children_heard += signo == SIGCHLD;
}

static void sleeper(void *arg)
{
	(void)arg;
	child_ready();
	for (;;)
		pause();
}

/* A stop can be seen, and collected, before its signal is sent. */
static void stop(pid_t pid, int signo, bool collect)
{
	int status;

	children_heard = 0;
	MUST(kill(pid, signo));
	if (collect)
		EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	while (!children_heard)
		usleep(1000);
	children_heard = 0;
}

static void parent(void *arg)
{
	pid_t pid = test_fork(sleeper, NULL);
	int status;

	(void)arg;
	signal(SIGCHLD, count);
	stop(pid, SIGSTOP, true);
	test_post(stage, 1);
	child_ready();
	test_await(stage, 2);
	EXPECT_EQ(children_heard, 0);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
	MUST(kill(pid, SIGKILL));
	EXPECT_EQ(test_reap(pid), SIGKILL);
}

static void make_group(pid_t pid)
{
	MUST(setpgid(pid, pid));
}

int main(void)
{
	pid_t collected, not_collected, by_tstp, with_child;
	int status;

	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	collected = test_fork(sleeper, NULL);
	not_collected = test_fork(sleeper, NULL);
	by_tstp = test_fork(sleeper, NULL);
	make_group(by_tstp);
	with_child = test_fork(parent, NULL);
	test_await(stage, 1);
	signal(SIGCHLD, count);
	stop(collected, SIGSTOP, true);
	stop(with_child, SIGSTOP, true);
	stop(not_collected, SIGSTOP, false);
	stop(by_tstp, SIGTSTP, false);
	test_wait();
	EXPECT_EQ(children_heard, 0);
	EXPECT_EQ(waitpid(collected, &status, WUNTRACED | WNOHANG), 0);
	EXPECT_EQ(waitpid(with_child, &status, WUNTRACED | WNOHANG), 0);
	EXPECT_EQ(waitpid(not_collected, &status, WUNTRACED | WNOHANG), not_collected);
	EXPECT_EQ(status, SIGSTOP << 8 | 0x7f);
	EXPECT_EQ(waitpid(by_tstp, &status, WUNTRACED | WNOHANG), by_tstp);
	EXPECT_EQ(status, SIGTSTP << 8 | 0x7f);
	MUST(kill(with_child, SIGCONT));
	test_post(stage, 2);
	EXPECT_EQ(test_reap(with_child), 0);
	MUST(kill(collected, SIGKILL));
	MUST(kill(not_collected, SIGKILL));
	MUST(kill(by_tstp, SIGKILL));
	EXPECT_EQ(test_reap(collected), SIGKILL);
	EXPECT_EQ(test_reap(not_collected), SIGKILL);
	EXPECT_EQ(test_reap(by_tstp), SIGKILL);
	return test_pass();
}
