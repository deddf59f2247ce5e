/* A first thread that has ended still has the signal that it asked for at the end of its parent: the process gets it.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static volatile int *words; /* shared: 0 is set when all is ready, 1 when the signal has come */

static void *act(void *arg)
{
	char path[64];
	sigset_t mask;
	int signal;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", getpid(), getpid());
	while (!strstr(test_slurp(path), "State:\tZ"))
		usleep(1000);
	test_post(&words[0], 1);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	EXPECT_EQ(sigwait(&mask, &signal), 0);
	test_post(&words[1], 1);
	_exit(0);
	return arg;
}

static void grandchild(void)
{
	pthread_t thread;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	MUST(prctl(PR_SET_PDEATHSIG, SIGUSR2));
	syscall(SYS_exit, 0);
}

static void child(void *arg)
{
	(void)arg;
	if (MUST(fork()) == 0) {
		grandchild();
		_exit(1);
	}
	test_await(&words[0], 1);
	child_wait();
}

int main(void)
{
	pid_t pid;

	words = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	test_start();
	pid = test_fork(child, NULL);
	test_wait();
	EXPECT_EQ(words[1], 0);
	test_end_child(pid);
	test_await(&words[1], 1);
	return test_pass();
}
