/*
 * Children made by a thread that is not the first one: living ones, zombies that exited or were killed, a zombie with
 * another signal for its end. All threads of the parent can wait for them.
 */
#include "zdtmlib.h"

static pid_t live, exited, killed, cloned;

static void act(void)
{
	siginfo_t info;

	live = MUST(fork());
	if (live == 0) {
		signal(SIGTERM, SIG_DFL);
		for (;;)
			pause();
	}
	exited = MUST(fork());
	if (exited == 0)
		_exit(33);
	killed = MUST(fork());
	if (killed == 0) {
		signal(SIGUSR1, SIG_DFL);
		raise(SIGUSR1);
		_exit(1);
	}
	cloned = MUST(syscall(SYS_clone, SIGUSR2, NULL, NULL, NULL, NULL));
	if (cloned == 0)
		_exit(44);
	MUST(waitid(P_PID, exited, &info, WEXITED | WNOWAIT));
	MUST(waitid(P_PID, killed, &info, WEXITED | WNOWAIT));
	MUST(waitid(P_PID, cloned, &info, WEXITED | WNOWAIT | __WCLONE));
	thread_wait();
	EXPECT_EQ(test_reap(exited), 33 << 8);
	EXPECT_EQ(waitpid(cloned, NULL, 0), -1);
	EXPECT_EQ(errno, ECHILD);
	int status = 0;
	EXPECT_EQ(waitpid(cloned, &status, __WCLONE), cloned);
	EXPECT_EQ(status, 44 << 8);
}

int main(void)
{
	pthread_t thread;
	sigset_t set;

	test_start();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	thread = test_thread(act);
	test_wait();
	EXPECT_EQ(waitpid(live, NULL, WNOHANG), 0);
	EXPECT_EQ(test_reap(killed), SIGUSR1);
	test_end_thread(thread);
	MUST(kill(live, SIGKILL));
	EXPECT_EQ(test_reap(live), SIGKILL);
	EXPECT_EQ(waitpid(-1, NULL, __WALL), -1);
	EXPECT_EQ(errno, ECHILD);
	return test_pass();
}
