/* Children in a group stop (by SIGSTOP, SIGTSTP, one with threads): still stopped, and SIGCONT lets them go on. */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/mman.h>

static volatile int *ticks;

static void *tick(void *arg)
{
	for (;;) {
		ticks[(long)arg]++;
		usleep(500);
	}
	return NULL;
}

static void child(void *arg)
{
	pthread_t thread;

	if ((long)arg == 2)
		pthread_create(&thread, NULL, tick, (void *)3L);
	child_ready();
	tick(arg);
}

int main(void)
{
	pid_t pids[3];
	int seen[4];

	test_start();
	ticks = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (long i = 0; i < 3; i++) {
		pids[i] = test_fork(child, (void *)i);
		MUST(setpgid(pids[i], pids[i]));
	}
	for (int i = 0; i < 3; i++) {
		int status;

		MUST(kill(pids[i], i == 1 ? SIGTSTP : SIGSTOP));
		MUST(waitpid(pids[i], &status, WUNTRACED));
		EXPECT(WIFSTOPPED(status));
	}
	test_wait();
	memcpy(seen, (void *)ticks, sizeof(seen));
	usleep(50000);
	EXPECT_MEM(seen, (void *)ticks, sizeof(seen));
	for (int i = 0; i < 3; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/status", pids[i]);
		EXPECT(strstr(test_slurp(path), "State:\tT (stopped)"));
		MUST(kill(pids[i], SIGCONT));
	}
	for (int i = 0;
	     i < 12000 && (ticks[0] == seen[0] || ticks[1] == seen[1] || ticks[2] == seen[2] || ticks[3] == seen[3]);
	     i++)
		usleep(5000);
	for (int i = 0; i < 4; i++)
		EXPECT(ticks[i] > seen[i]);
	for (int i = 0; i < 3; i++) {
		MUST(kill(pids[i], SIGKILL));
		EXPECT_EQ(test_reap(pids[i]), SIGKILL);
	}
	return test_pass();
}
