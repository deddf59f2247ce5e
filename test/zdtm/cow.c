/*
 * Memory inherited over fork: pages both still share and pages each wrote differ where they should; a process that was
 * dumped and goes on has as many pages in common with others as before. With the argument few, so few pages that a dump
 * reads all alike.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

#define PAGE 4096UL
enum { MOST_PAGES = 512, FEW_PAGES = 16, CHILDREN = 4 };

static char *base;
static int pages = MOST_PAGES;

/* How many of the pages other processes have, too. */
static int count_shared(void)
{
	static uint64_t words[MOST_PAGES];
	int fd = MUST(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)), count = 0;

	EXPECT_EQ(
	    pread(fd, words, (size_t)pages * sizeof(words[0]), (off_t)((uintptr_t)base / PAGE * sizeof(words[0]))),
	    (size_t)pages * sizeof(words[0]));
	for (int i = 0; i < pages; i++)
		count += words[i] >> 63 && !(words[i] >> 56 & 1);
	MUST(close(fd));
	return count;
}

/* When it was started, in ticks: another time for what was restored. */
static long long start_time(void)
{
	const char *at = strrchr(test_slurp("/proc/self/stat"), ')');

	for (int i = 0; i < 20 && at; i++)
		at = strchr(at + 1, ' ');
	return at ? atoll(at) : 0;
}

static void expect_shared(long long started, int expected)
{
	if (start_time() == started)
		EXPECT_EQ(count_shared(), expected);
}

static void child(void *arg)
{
	long number = (long)arg;
	const long long started = start_time();

	for (int i = number; i < pages; i += 16)
		test_pattern(base + i * PAGE, PAGE, 1000 + number * MOST_PAGES + i);
	child_wait();
	expect_shared(started, pages - pages / 16);
	for (int i = 0; i < pages; i++)
		EXPECT_PATTERN(base + i * PAGE, PAGE, i % 16 == number ? 1000 + number * MOST_PAGES + i : i);
}

int main(int argc, char **argv)
{
	pid_t pids[CHILDREN];

	if (argc > 1 && strcmp(argv[1], "few") == 0)
		pages = FEW_PAGES;
	test_start();
	base = MUST(mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < pages; i++)
		test_pattern(base + i * PAGE, PAGE, i);
	for (long i = 0; i < CHILDREN; i++)
		pids[i] = test_fork(child, (void *)i);
	test_wait();
	for (int i = 0; i < pages; i++)
		EXPECT_PATTERN(base + i * PAGE, PAGE, i);
	for (int i = 0; i < CHILDREN; i++)
		test_end_child(pids[i]);
	return test_pass();
}
