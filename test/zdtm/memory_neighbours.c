/*
 * Much memory in mappings that lie side by side with different rights, written across their borders: contents that are
 * handed over from outside have to be cut where a mapping ends.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

#define MIB (1UL << 20)

int main(void)
{
	const size_t bytes = 24 * MIB;
	char *base;

	test_start();
	base = MUST(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	test_pattern(base, bytes, 1);
	MUST(mprotect(base, 3 * MIB, PROT_READ));
	MUST(mprotect(base + 9 * MIB, 5 * MIB, PROT_NONE));
	MUST(mprotect(base + 14 * MIB, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	test_wait();
	MUST(mprotect(base, bytes, PROT_READ | PROT_WRITE));
	EXPECT_PATTERN(base, bytes, 1);
	return test_pass();
}
