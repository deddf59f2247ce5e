/*
 * Five thousand small mappings, every second with other rights, so that none merge. In a process with many threads,
 * too: the mappings of such a one are listed in another way.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

#define PAGE 4096UL

static void act(void)
{
	thread_wait();
}

int main(int argc, char **argv)
{
	enum { COUNT = 5000, THREADS = 100 };
	const int threads = argc > 1 && strcmp(argv[1], "threads") == 0 ? THREADS : 0;
	char *base;

	test_start();
	for (int i = 0; i < threads; i++)
		(void)test_thread(act);
	base = MUST(mmap(NULL, COUNT * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < COUNT; i += 7)
		test_pattern(base + i * PAGE, PAGE, i);
	for (int i = 0; i < COUNT; i += 2)
		MUST(mprotect(base + i * PAGE, PAGE, PROT_READ));
	test_wait();
	for (int i = 0; i < COUNT; i += 7)
		EXPECT_PATTERN(base + i * PAGE, PAGE, i);
	for (int i = 1; i < COUNT; i += 2)
		*(volatile char *)(base + i * PAGE) = 1;
	return test_pass();
}
