/*
 * Children with a signal for the end of the thread that made them: it comes when this very thread ends, not another one
 * of their parent. One asked for it in another thread than its first, one has ended itself but for a thread.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/prctl.h>

enum { MAKERS = 3, KINDS = 3 };

struct maker {
	pid_t pids[KINDS];
	volatile int state;
};

static struct maker makers[MAKERS]; /* [0] is the first thread */
static volatile int *words;         /* shared: how often a signal came, by child */

static void wait_for_signal(int number)
{
	sigset_t set;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	for (;;) {
		EXPECT_EQ(sigwait(&set, &signo), 0);
		test_post(&words[number], words[number] + 1);
	}
}

static void *ask_in_thread(void *arg)
{
	MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	child_ready();
	wait_for_signal((int)(long)arg);
	return NULL;
}

static void *outlive(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", getpid(), getpid());
	while (!strstr(test_slurp(path), "State:\tZ"))
		usleep(1000);
	return ask_in_thread(arg);
}

static void child(void *arg)
{
	const int number = (int)(long)arg;
	pthread_t thread;

	if (number % KINDS == 1)
		EXPECT_EQ(pthread_create(&thread, NULL, ask_in_thread, arg), 0);
	if (number % KINDS == 2) {
		EXPECT_EQ(pthread_create(&thread, NULL, outlive, arg), 0);
		syscall(SYS_exit, 0);
	}
	if (number % KINDS == 0) {
		MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1));
		child_ready();
	}
	wait_for_signal(number);
}

static void make_children(int maker)
{
	for (int kind = 0; kind < KINDS; kind++)
		makers[maker].pids[kind] = test_fork(child, (void *)(long)(maker * KINDS + kind));
}

static void *act(void *arg)
{
	struct maker *maker = arg;

	make_children((int)(maker - makers));
	test_post(&maker->state, 1);
	test_await(&maker->state, 2);
	return NULL;
}

static void expect_signals(int ended)
{
	for (int i = 0; i < MAKERS * KINDS; i++) {
		if (i / KINDS >= ended)
			test_await(&words[i], 1);
		EXPECT_EQ(words[i], i / KINDS >= ended);
	}
}

int main(void)
{
	pthread_t threads[MAKERS];
	sigset_t set;

	test_start();
	words = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int i = 1; i < MAKERS; i++) {
		EXPECT_EQ(pthread_create(&threads[i], NULL, act, &makers[i]), 0);
		test_await(&makers[i].state, 1);
	}
	make_children(0);
	test_wait();
	expect_signals(MAKERS);
	for (int i = MAKERS - 1; i > 0; i--) {
		test_post(&makers[i].state, 2);
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
		expect_signals(i);
	}
	for (int i = 0; i < MAKERS * KINDS; i++) {
		pid_t pid = makers[i / KINDS].pids[i % KINDS];

		MUST(kill(pid, SIGKILL));
		EXPECT_EQ(test_reap(pid), SIGKILL);
	}
	return test_pass();
}
