/*
 * Threads that make children all the time, also while the tree is being stopped: some collect their own and nobody
 * else's, some end and leave a child to the first thread, which hears of that if it wants to.
 */
#include "zdtmlib.h"

#include <sys/prctl.h>

enum { MAKERS = 4 };

static volatile uint64_t turns[MAKERS];
static volatile int stop;

static void make_own(uint64_t turn)
{
	const int code = (int)(turn % 200);
	int status = 0;
	pid_t pid = MUST(fork());

	if (pid == 0)
		_exit(code);
	EXPECT_EQ(waitpid(pid, &status, __WNOTHREAD), pid);
	EXPECT_EQ(status, code << 8);
}

static void *leave_child(void *arg)
{
	pid_t pid = MUST(fork());

	if (pid == 0) {
		usleep(2000);
		_exit(7);
	}
	*(pid_t *)arg = pid;
	return NULL;
}

static void *leave_child_that_hears(void *arg)
{
	int ends[2];
	char byte;
	pid_t pid;

	MUST(pipe(ends));
	pid = MUST(fork());
	if (pid == 0) {
		MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
		EXPECT_EQ(write(ends[1], "x", 1), 1);
		for (;;)
			pause();
	}
	EXPECT_EQ(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	close(ends[1]);
	usleep(3000);
	*(pid_t *)arg = pid;
	return NULL;
}

/* The child is the first thread's then. */
static void make_by_other(void *(*run)(void *), int expected)
{
	pthread_t thread;
	int status = 0;
	pid_t pid = 0;

	EXPECT_EQ(pthread_create(&thread, NULL, run, &pid), 0);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(waitpid(pid, &status, WNOHANG | __WNOTHREAD), -1);
	EXPECT_EQ(errno, ECHILD);
	EXPECT_EQ(test_reap(pid), expected);
}

static void *make(void *arg)
{
	const long number = (long)arg;

	for (; !stop; turns[number]++) {
		if (number < 2)
			make_own(turns[number]);
		else if (number == 2)
			make_by_other(leave_child, 7 << 8);
		else
			make_by_other(leave_child_that_hears, SIGKILL);
	}
	return NULL;
}

int main(void)
{
	pthread_t makers[MAKERS];

	test_start();
	for (long i = 0; i < MAKERS; i++)
		EXPECT_EQ(pthread_create(&makers[i], NULL, make, (void *)i), 0);
	for (int i = 0; i < MAKERS; i++)
		while (turns[i] < 10)
			usleep(1000);
	test_wait();
	for (int i = 0; i < MAKERS; i++) {
		const uint64_t before = turns[i];

		for (int k = 0; k < 60000 && turns[i] < before + 10; k++)
			usleep(1000);
		EXPECT(turns[i] >= before + 10);
	}
	stop = 1;
	for (int i = 0; i < MAKERS; i++)
		EXPECT_EQ(pthread_join(makers[i], NULL), 0);
	EXPECT_EQ(waitpid(-1, NULL, __WALL), -1);
	return test_pass();
}
