/* mlock(): what is locked, and that nothing else is, nor mappings made after the restore. */
#include "zdtmlib.h"

#include <sys/mman.h>

static bool has_flag(const void *address, const char *flag)
{
	const char *text = test_slurp("/proc/self/smaps"), *line;
	char start[32], word[8];

	snprintf(start, sizeof(start), "%lx-", (unsigned long)address);
	snprintf(word, sizeof(word), " %s", flag);
	line = strstr(text, start);
	if (!line)
		FAIL("no mapping starts at %p", address);
	line = strstr(line, "VmFlags:");
	return line && memmem(line, strcspn(line, "\n"), word, strlen(word));
}

int main(void)
{
	char *locked, *plain, *later;
	long before;

	test_start();
	locked = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	plain = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(mlock(locked, 65536));
	test_pattern(locked, 8192, 1);
	before = test_field(test_slurp("/proc/self/status"), "VmLck", 10);
	test_wait();
	EXPECT_PATTERN(locked, 8192, 1);
	EXPECT(has_flag(locked, "lo"));
	EXPECT(!has_flag(plain, "lo"));
	EXPECT_EQ(test_field(test_slurp("/proc/self/status"), "VmLck", 10), before);
	later = MUST(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT(!has_flag(later, "lo"));
	return test_pass();
}
