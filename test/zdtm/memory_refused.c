/*
 * A process that can map nothing any more: what it maps would be executable by its personality, which PR_SET_MDWE
 * forbids.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

static void check(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT(page == MAP_FAILED);
	EXPECT_EQ(errno, EACCES);
}

static void child(void *arg)
{
	(void)arg;
	MUST(personality(READ_IMPLIES_EXEC));
	MUST(prctl(PR_SET_MDWE, 1, 0, 0, 0));
	check();
	child_wait();
	EXPECT_EQ(personality(0xffffffff), READ_IMPLIES_EXEC);
	check();
}

int main(void)
{
	pid_t pid;

	test_start();
	if (prctl(PR_SET_MDWE, 0, 0, 0, 0) < 0)
		test_skip("no PR_SET_MDWE");
	pid = test_fork(child, NULL);
	test_wait();
	test_end_child(pid);
	return test_pass();
}
