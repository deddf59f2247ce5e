/* A mapping that grows downwards: contents, and it must still grow after the restore. */
#include "zdtmlib.h"

#include <sys/mman.h>

#define PAGE 4096UL

int main(void)
{
	char *room, *stack;

	test_start();
	room = MUST(mmap(NULL, 1024 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(munmap(room, 1024 * PAGE));
	stack = MUST(mmap(room + 1000 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0));
	for (int i = 3; i > -20; i--)
		test_pattern(stack + i * (long)PAGE, PAGE, 100 + i);
	test_wait();
	for (int i = 3; i > -20; i--)
		EXPECT_PATTERN(stack + i * (long)PAGE, PAGE, 100 + i);
	for (int i = -20; i > -300; i--)
		*(volatile char *)(stack + i * (long)PAGE) = 1;
	return test_pass();
}
