/* What a parent gets at the end of a child: another signal than SIGCHLD, or none; of children and of zombies. */
#include "zdtmlib.h"

#include <linux/sched.h>

static volatile sig_atomic_t counts[65];

static void count(int signo)
{
	counts[signo]++;
}

static pid_t start(int exit_signal)
{
	return MUST(syscall(SYS_clone, exit_signal, NULL, NULL, NULL, NULL));
}

static int end_of(pid_t pid)
{
	int status = -1;

	EXPECT_EQ(waitpid(pid, &status, __WALL), pid);
	return status;
}

int main(void)
{
	const int signals[] = { SIGUSR1, 0, SIGRTMIN + 1, SIGCHLD };
	pid_t live[4], dead[4];
	siginfo_t info;

	test_start();
	for (int i = 0; i < 4; i++) {
		const struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESTART | SA_NOCLDSTOP };

		if (signals[i])
			MUST(sigaction(signals[i], &action, NULL));
	}
	for (int i = 0; i < 4; i++) {
		live[i] = start(signals[i]);
		if (live[i] == 0) {
			signal(SIGTERM, SIG_DFL);
			for (;;)
				pause();
		}
		dead[i] = start(signals[i]);
		if (dead[i] == 0)
			_exit(10 + i);
		MUST(waitid(P_PID, dead[i], &info, WEXITED | WNOWAIT | __WALL));
	}
	usleep(10000);
	memset((void *)counts, 0, sizeof(counts));
	test_wait();
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(signals[i] ? counts[signals[i]] : 0, 0);
		EXPECT_EQ(end_of(dead[i]), (10 + i) << 8);
	}
	for (int i = 0; i < 4; i++) {
		MUST(kill(live[i], SIGKILL));
		EXPECT_EQ(end_of(live[i]), SIGKILL);
		for (int k = 0; k < 4; k++)
			EXPECT_EQ(signals[k] ? counts[signals[k]] : 0, signals[k] && k <= i);
	}
	return test_pass();
}
