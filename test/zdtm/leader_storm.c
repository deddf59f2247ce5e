/*
 * Children whose first thread ends at once and leaves the rest to another thread, all the time: the dump finds them at
 * any moment of this. Whatever becomes of them, each ends with the code of its last thread.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/mman.h>

enum { STORMS = 3, LAST_CODE = 9 };

static volatile int *stop;

static void *outlive(void *arg)
{
	usleep((useconds_t)(long)arg);
	syscall(SYS_exit, LAST_CODE);
	return NULL;
}

/* Both ends come in either order, and not far from each other. */
static void end_early(int turn)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, outlive, (void *)(long)(turn % 7 * 500)) != 0)
		_exit(1);
	usleep(turn % 3 * 300);
	syscall(SYS_exit, LAST_CODE);
}

static void storm(void *arg)
{
	(void)arg;
	child_ready();
	for (int turn = 0; !*stop; turn++) {
		pid_t pid = MUST(fork());

		if (pid == 0)
			end_early(turn);
		EXPECT_EQ(test_reap(pid), LAST_CODE << 8);
	}
}

int main(void)
{
	pid_t pids[STORMS];

	test_start();
	stop = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < STORMS; i++)
		pids[i] = test_fork(storm, NULL);
	test_wait();
	*stop = 1;
	for (int i = 0; i < STORMS; i++)
		EXPECT_EQ(test_reap(pids[i]), 0);
	return test_pass();
}
