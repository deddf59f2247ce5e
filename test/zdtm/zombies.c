/* Children that have ended and were not waited for: exit codes, signals, a core dump flag, their group and order. */
#include "zdtmlib.h"

int main(void)
{
	const int codes[] = { 0, 1, 77, 255 }, signals[] = { SIGKILL, SIGTERM, SIGUSR1, SIGRTMIN + 5 };
	pid_t exited[4], killed[4];
	siginfo_t info;

	test_start();
	for (int i = 0; i < 4; i++) {
		exited[i] = MUST(fork());
		if (exited[i] == 0) {
			if (i == 2)
				setsid();
			_exit(codes[i]);
		}
		killed[i] = MUST(fork());
		if (killed[i] == 0) {
			sigset_t none;

			sigemptyset(&none);
			sigprocmask(SIG_SETMASK, &none, NULL);
			signal(signals[i], SIG_DFL);
			raise(signals[i]);
			_exit(1);
		}
		MUST(waitid(P_PID, exited[i], &info, WEXITED | WNOWAIT));
		MUST(waitid(P_PID, killed[i], &info, WEXITED | WNOWAIT));
	}
	test_wait();
	for (int i = 0; i < 4; i++) {
		MUST(waitid(P_PID, exited[i], &info, WEXITED | WNOWAIT));
		EXPECT_EQ(info.si_code, CLD_EXITED);
		EXPECT_EQ(info.si_status, codes[i]);
		EXPECT_EQ(test_reap(exited[i]), codes[i] << 8);
		EXPECT_EQ(test_reap(killed[i]), signals[i]);
	}
	EXPECT_EQ(waitpid(-1, NULL, 0), -1);
	EXPECT_EQ(errno, ECHILD);
	return test_pass();
}
