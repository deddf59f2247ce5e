/*
 * What a parent gets at the end of a child: another signal than SIGCHLD, or none; of children and of zombies. With an
 * argument the parent executes a program when it has a child: it gets SIGCHLD then, which is refused.
 */
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

static void handle(int signo)
{
	const struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESTART | SA_NOCLDSTOP };

	MUST(sigaction(signo, &action, NULL));
}

/* The child waits by the signal it was made with, and tells by the other one. */
static int after_execution(pid_t pid)
{
	handle(SIGUSR1);
	handle(SIGCHLD);
	test_start();
	test_wait();
	MUST(kill(pid, SIGKILL));
	EXPECT_EQ(waitpid(pid, NULL, 0), -1);
	EXPECT_EQ(waitpid(pid, NULL, __WCLONE), pid);
	EXPECT_EQ(counts[SIGUSR1], 0);
	EXPECT_EQ(counts[SIGCHLD], 1);
	return test_pass();
}

static int execute(char *own_name)
{
	char text[16];
	pid_t pid = start(SIGUSR1);

	while (pid == 0)
		pause();
	(void)snprintf(text, sizeof(text), "%d", pid);
	MUST(execl("/proc/self/exe", own_name, text, NULL));
	return 1;
}

int main(int argc, char **argv)
{
	const int signals[] = { SIGUSR1, 0, SIGRTMIN + 1, SIGCHLD };
	pid_t live[4], dead[4];
	siginfo_t info;

	if (argc > 1)
		return strcmp(argv[1], "executed") == 0 ? execute(argv[0]) : after_execution(atoi(argv[1]));
	test_start();
	for (int i = 0; i < 4; i++)
		if (signals[i])
			handle(signals[i]);
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
