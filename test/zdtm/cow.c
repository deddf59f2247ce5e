/*
 * Memory inherited over fork: pages both still share and pages each wrote differ where they should; a process that was
 * dumped and goes on has as many pages in common with others as before.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

#define PAGE 4096UL
enum { PAGES = 512, CHILDREN = 4 };

static char *base;

/* How many of the pages other processes have, too. */
static int count_shared(void)
{
	static uint64_t words[PAGES];
	int fd = MUST(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)), count = 0;

	EXPECT_EQ(pread(fd, words, sizeof(words), (off_t)((uintptr_t)base / PAGE * sizeof(words[0]))), sizeof(words));
	for (int i = 0; i < PAGES; i++)
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

	for (int i = number; i < PAGES; i += 16)
		test_pattern(base + i * PAGE, PAGE, 1000 + number * PAGES + i);
	child_wait();
	expect_shared(started, PAGES - PAGES / 16);
	for (int i = 0; i < PAGES; i++)
		EXPECT_PATTERN(base + i * PAGE, PAGE, i % 16 == number ? 1000 + number * PAGES + i : i);
}

int main(void)
{
	pid_t pids[CHILDREN];

	test_start();
	base = MUST(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < PAGES; i++)
		test_pattern(base + i * PAGE, PAGE, i);
	for (long i = 0; i < CHILDREN; i++)
		pids[i] = test_fork(child, (void *)i);
	test_wait();
	for (int i = 0; i < PAGES; i++)
		EXPECT_PATTERN(base + i * PAGE, PAGE, i);
	for (int i = 0; i < CHILDREN; i++)
		test_end_child(pids[i]);
	return test_pass();
}
