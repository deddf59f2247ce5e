/*
 * Stopped processes with signals that wait for the end of the stop: none is taken before, not even one that ends its
 * process, and behind it each does what it would have done.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

static volatile int *taken;

static void take(int signo)
{
	taken[0] += signo == SIGUSR1;
}

static void sleeper(void *arg)
{
	(void)arg;
	signal(SIGUSR1, take);
	child_ready();
	for (;;)
		(void)pause();
}

/* The handler of the signal that ends the stop ends the call as well. */
static void continued(void *arg)
{
	(void)arg;
	signal(SIGCONT, take);
	child_ready();
	EXPECT_EQ(pause(), -1);
	EXPECT_EQ(errno, EINTR);
}

static pid_t stop(void (*act)(void *))
{
	pid_t pid = test_fork(act, NULL);
	int status;

	test_until_asleep(pid, pid);
	MUST(kill(pid, SIGSTOP));
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	EXPECT(WIFSTOPPED(status));
	return pid;
}

int main(void)
{
	pid_t ending, handling, going_on;

	test_start();
	taken = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	ending = stop(sleeper);
	handling = stop(sleeper);
	going_on = stop(continued);
	MUST(kill(ending, SIGHUP));
	MUST(kill(handling, SIGUSR1));
	test_wait();
	usleep(20000);
	EXPECT_EQ(waitpid(-1, NULL, WNOHANG | WUNTRACED), 0);
	EXPECT_EQ(taken[0], 0);
	MUST(kill(ending, SIGCONT));
	EXPECT_EQ(test_reap(ending), SIGHUP);
	MUST(kill(handling, SIGCONT));
	for (int i = 0; i < 60000 && !taken[0]; i++)
		usleep(1000);
	EXPECT_EQ(taken[0], 1);
	MUST(kill(going_on, SIGCONT));
	EXPECT_EQ(test_reap(going_on), 0);
	MUST(kill(handling, SIGKILL));
	EXPECT_EQ(test_reap(handling), SIGKILL);
	return test_pass();
}
