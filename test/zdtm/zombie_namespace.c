/* A child that has ended in a user or pid namespace of its own and was not waited for: refused, whatever else it is. */
#include "zdtmlib.h"

int main(int argc, char **argv)
{
	const bool is_user = argc > 1 && strcmp(argv[1], "user") == 0;
	siginfo_t info;
	pid_t pid;

	test_start();
	if (!is_user && unshare(CLONE_NEWPID) < 0)
		test_skip("no pid namespace can be had: %s", strerror(errno));
	pid = MUST(fork());
	if (pid == 0)
		_exit(is_user && unshare(CLONE_NEWUSER) < 0);
	MUST(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	if (info.si_status)
		test_skip("no user namespace can be had");
	test_wait();
	EXPECT_EQ(test_reap(pid), 0);
	return test_pass();
}
