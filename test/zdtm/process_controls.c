/* What prctl() sets and gets: subreaper, parent death signal, dumpable, huge pages, timer slack, name, TSC, keep caps.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
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

/* As /proc/PID/smaps shows it. */
static bool is_mergeable(const void *at)
{
	char start[32];
	const char *flags;

	snprintf(start, sizeof(start), "\n%lx-", (unsigned long)at);
	flags = strstr(test_slurp("/proc/self/smaps"), start);
	flags = flags ? strstr(flags, "VmFlags:") : NULL;
	EXPECT(flags != NULL);
	return memmem(flags, strcspn(flags, "\n"), " mg", 3) != NULL;
}

/* Pages are merged but for those of one mapping. */
static void merge_some(void *arg)
{
	const size_t bytes = 65536;
	char *at = MUST(mmap(NULL, 4 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	bool merges = prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0;

	(void)arg;
	MUST(mprotect(at + bytes, 2 * bytes, PROT_READ | PROT_WRITE));
	if (merges)
		MUST(madvise(at + bytes, bytes, MADV_UNMERGEABLE));
	child_wait();
	if (!merges)
		return;
	EXPECT_EQ(is_mergeable(at + bytes), false);
	EXPECT_EQ(is_mergeable(at + 2 * bytes), true);
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
	pid_t pid, merging;

	test_start();
	pid = test_fork(child, NULL);
	merging = test_fork(merge_some, NULL);
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
	test_end_child(merging);
	return test_pass();
}
