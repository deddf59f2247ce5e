/* Children that were stopped and went on, of which the parent has collected nothing, the stop, or all. */
#include "zdtmlib.h"

static volatile sig_atomic_t was_continued;

static void on_continue(int signo)
{
	(void)signo;
	was_continued = 1;
}

static void child(void *arg)
{
	(void)arg;
	child_wait();
}

static void go_on(pid_t pid, bool collect_stop, bool collect_all)
{
	siginfo_t info;

	MUST(kill(pid, SIGSTOP));
	MUST(waitid(P_PID, pid, &info, WSTOPPED | (collect_stop ? 0 : WNOWAIT)));
	MUST(kill(pid, SIGCONT));
	MUST(waitid(P_PID, pid, &info, WCONTINUED | (collect_all ? 0 : WNOWAIT)));
	/* It tells its parent by a signal when it runs again. */
	test_until_asleep(pid, pid);
}

int main(void)
{
	const struct timespec zero = { 0 };
	siginfo_t info;
	pid_t pids[3];
	sigset_t set;

	test_start();
	signal(SIGCONT, on_continue);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int i = 0; i < 3; i++) {
		pids[i] = test_fork(child, NULL);
		go_on(pids[i], i > 0, i > 1);
	}
	(void)sigtimedwait(&set, NULL, &zero);
	test_wait();
	/* A checkpoint that leaves the tree stopped makes all of them go on once more. */
	EXPECT_EQ(sigtimedwait(&set, NULL, &zero), was_continued ? SIGCHLD : -1);
	for (int i = 0; i < 3 && !was_continued; i++) {
		memset(&info, 0, sizeof(info));
		MUST(waitid(P_PID, pids[i], &info, WCONTINUED | WNOHANG));
		EXPECT_EQ(info.si_pid, i < 2 ? pids[i] : 0);
		if (i < 2)
			EXPECT_EQ(info.si_code, CLD_CONTINUED);
		EXPECT_EQ(waitpid(pids[i], NULL, WNOHANG | WUNTRACED | WCONTINUED), 0);
	}
	for (int i = 0; i < 3; i++)
		test_end_child(pids[i]);
	return test_pass();
}
