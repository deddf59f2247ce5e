/*
 * mlockall(MCL_FUTURE), with MCL_ONFAULT and alone: what is mapped after the restore is locked, what was unlocked
 * before is not.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

#define BYTES 65536L

static long locked_kib(void)
{
	return test_field(test_slurp("/proc/self/status"), "VmLck", 10);
}

static void check_new(bool on_fault)
{
	unsigned char resident[BYTES / 4096];
	long before = locked_kib();
	char *later = MUST(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	EXPECT_EQ(locked_kib(), before + BYTES / 1024);
	MUST(mincore(later, BYTES, resident));
	for (int i = 0; i < BYTES / 4096; i++)
		EXPECT_EQ(resident[i] & 1, !on_fault);
	MUST(munmap(later, BYTES));
}

static void child(void *arg)
{
	long before;

	MUST(mlockall(MCL_FUTURE | MCL_ONFAULT));
	before = locked_kib();
	child_wait();
	EXPECT_EQ(locked_kib(), before);
	check_new(true);
}

int main(void)
{
	pid_t pid;
	long before;
	char *unlocked;

	test_start();
	pid = test_fork(child, NULL);
	MUST(mlockall(MCL_CURRENT | MCL_FUTURE));
	unlocked = MUST(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(munlock(unlocked, BYTES));
	before = locked_kib();
	test_wait();
	EXPECT_EQ(locked_kib(), before);
	check_new(false);
	test_end_child(pid);
	return test_pass();
}
