/* What prctl() sets and gets: subreaper, parent death signal, dumpable, huge pages, timer slack, name, TSC, keep caps.
 */
#include "zdtmlib.h"

#include <sys/prctl.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

static int death_signal(void)
{
	int signo = -1;

	MUST(prctl(PR_GET_PDEATHSIG, &signo));
	return signo;
}

static void child(void *arg)
{
	(void)arg;
	MUST(prctl(PR_SET_PDEATHSIG, SIGUSR2));
	MUST(prctl(PR_SET_DUMPABLE, 0));
	MUST(prctl(PR_SET_NAME, "a (strange) name)"));
	MUST(prctl(PR_SET_TIMERSLACK, 1));
	child_wait();
	EXPECT_EQ(death_signal(), SIGUSR2);
	EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
	EXPECT_EQ(prctl(PR_GET_TIMERSLACK), 1);
	EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
}

int main(void)
{
	int subreaper = 0, io_flusher, merge;
	char name[16];
	pid_t pid;

	test_start();
	pid = test_fork(child, NULL);
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	MUST(prctl(PR_SET_TIMERSLACK, 123456));
	MUST(prctl(PR_SET_NAME, "new\nname"));
	io_flusher = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0;
	merge = prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0;
	test_wait();
	MUST(prctl(PR_GET_CHILD_SUBREAPER, &subreaper));
	EXPECT_EQ(subreaper, 1);
	EXPECT_EQ(death_signal(), 0);
	EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
	EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	EXPECT_EQ(prctl(PR_GET_TIMERSLACK), 123456);
	MUST(prctl(PR_GET_NAME, name));
	EXPECT_STR(name, "new\nname");
	if (io_flusher)
		EXPECT_EQ(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0), 1);
	if (merge)
		EXPECT_EQ(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 1);
	test_end_child(pid);
	return test_pass();
}
