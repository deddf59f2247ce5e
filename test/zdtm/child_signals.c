/* How a process wants to hear of its children: SIGCHLD ignored, SA_NOCLDWAIT with a handler, SA_NOCLDSTOP. */
#include "zdtmlib.h"

static volatile sig_atomic_t heard;

static void hear(int signo)
{
	(void)signo;
	heard++;
}

static void end_one(int code)
{
	pid_t pid = MUST(fork());

	if (pid == 0)
		_exit(code);
	EXPECT_EQ(waitpid(pid, NULL, 0), -1);
	EXPECT_EQ(errno, ECHILD);
}

static void ignorer(void *arg)
{
	struct sigaction now;

	(void)arg;
	signal(SIGCHLD, SIG_IGN);
	end_one(1);
	child_wait();
	MUST(sigaction(SIGCHLD, NULL, &now));
	EXPECT(now.sa_handler == SIG_IGN);
	end_one(2);
}

static void not_waiting(void *arg)
{
	const struct sigaction action = { .sa_handler = hear, .sa_flags = SA_NOCLDWAIT | SA_RESTART };
	struct sigaction now;

	(void)arg;
	MUST(sigaction(SIGCHLD, &action, NULL));
	end_one(1);
	EXPECT_EQ(heard, 1);
	child_wait();
	EXPECT_EQ(heard, 1);
	MUST(sigaction(SIGCHLD, NULL, &now));
	EXPECT(now.sa_handler == hear);
	EXPECT_EQ(now.sa_flags & (SA_NOCLDWAIT | SA_NOCLDSTOP | SA_RESTART), SA_NOCLDWAIT | SA_RESTART);
	end_one(2);
	EXPECT_EQ(heard, 2);
}

static void no_stops(void *arg)
{
	const struct sigaction action = { .sa_handler = hear, .sa_flags = SA_NOCLDSTOP };
	int status;
	pid_t pid;

	(void)arg;
	MUST(sigaction(SIGCHLD, &action, NULL));
	pid = MUST(fork());
	if (pid == 0) {
		signal(SIGTERM, SIG_DFL);
		for (;;)
			pause();
	}
	child_wait();
	MUST(kill(pid, SIGSTOP));
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	EXPECT_EQ(heard, 0);
	MUST(kill(pid, SIGKILL));
	while (waitpid(pid, &status, 0) < 0)
		EXPECT_EQ(errno, EINTR);
	EXPECT_EQ(status, SIGKILL);
	EXPECT_EQ(heard, 1);
}

int main(void)
{
	pid_t pids[3];

	test_start();
	pids[0] = test_fork(ignorer, NULL);
	pids[1] = test_fork(not_waiting, NULL);
	pids[2] = test_fork(no_stops, NULL);
	test_wait();
	for (int i = 0; i < 3; i++)
		test_end_child(pids[i]);
	return test_pass();
}
