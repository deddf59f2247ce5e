/* Memory inherited over fork: pages both still share and pages each wrote differ where they should; no more memory
 * after. */
#include "zdtmlib.h"

#include <sys/mman.h>

#define PAGE 4096UL
enum { PAGES = 512, CHILDREN = 4 };

static char *base;

static void child(void *arg)
{
	long number = (long)arg;

	for (int i = number; i < PAGES; i += 16)
		test_pattern(base + i * PAGE, PAGE, 1000 + number * PAGES + i);
	child_wait();
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
