/*
 * A child made by a thread that is not the first one, with a signal for its parent's death: that is the end of this
 * thread, which no other thread's child can be told. Refused by name.
 */
#include "zdtmlib.h"

#include <sys/prctl.h>

static pid_t pid;

static void child(void *arg)
{
	(void)arg;
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
	child_ready();
	for (;;)
		pause();
}

static void act(void)
{
	pid = test_fork(child, NULL);
	thread_wait();
}

int main(void)
{
	pthread_t thread;

	test_start();
	thread = test_thread(act);
	test_wait();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	test_end_thread(thread);
	EXPECT_EQ(test_reap(pid), SIGKILL);
	return test_pass();
}
