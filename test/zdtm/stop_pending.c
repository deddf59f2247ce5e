/*
 * A stopped process to which SIGSTOP was sent once more: that signal stays pending until SIGCONT takes both away.
 * Nothing can block it, not even what restores it.
 */
#include "zdtmlib.h"

static void child(void *arg)
{
	(void)arg;
	child_wait();
}

int main(void)
{
	pid_t pid;
	int status;

	test_start();
	pid = test_fork(child, NULL);
	MUST(kill(pid, SIGSTOP));
	MUST(waitpid(pid, &status, WUNTRACED));
	EXPECT(WIFSTOPPED(status));
	MUST(kill(pid, SIGSTOP));
	test_wait();
	MUST(kill(pid, SIGCONT));
	test_end_child(pid);
	return test_pass();
}
