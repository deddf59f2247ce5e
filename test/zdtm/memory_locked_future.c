/*
 * mlockall(MCL_FUTURE), with MCL_ONFAULT and alone: what is mapped after the restore is locked, what was unlocked
 * before is not. What was locked may have guard pages.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

#define BYTES 65536L
#define PAGE  4096L

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

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

static long resident_pages(char *at)
{
	unsigned char resident[BYTES / PAGE];
	long count = 0;

	MUST(mincore(at, BYTES, resident));
	for (int i = 0; i < BYTES / PAGE; i++)
		count += resident[i] & 1;
	return count;
}

/* All other pages are there, also those behind a guard. */
static void guarded(void *arg)
{
	char *around = MUST(mmap(NULL, BYTES + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *at = around + PAGE;
	long before, resident;

	(void)arg;
	MUST(mprotect(at, BYTES, PROT_READ | PROT_WRITE));
	memset(at, 1, PAGE);
	if (madvise(at + PAGE, PAGE, MADV_GUARD_INSTALL) < 0 ||
	    madvise(at + 5 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL) < 0) {
		child_wait();
		return;
	}
	MUST(mlockall(MCL_CURRENT | MCL_FUTURE));
	memset(at + 2 * PAGE, 0, 3 * PAGE);
	memset(at + 7 * PAGE, 0, BYTES - 7 * PAGE);
	before = locked_kib();
	resident = resident_pages(at);
	child_wait();
	EXPECT_EQ(locked_kib(), before);
	EXPECT_EQ(resident_pages(at), resident);
	check_new(false);
}

int main(void)
{
	pid_t pid, guarded_pid;
	long before;
	char *unlocked;

	test_start();
	pid = test_fork(child, NULL);
	guarded_pid = test_fork(guarded, NULL);
	MUST(mlockall(MCL_CURRENT | MCL_FUTURE));
	unlocked = MUST(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(munlock(unlocked, BYTES));
	before = locked_kib();
	test_wait();
	EXPECT_EQ(locked_kib(), before);
	check_new(false);
	test_end_child(pid);
	test_end_child(guarded_pid);
	return test_pass();
}
