/* Every advice that stays with a mapping: found again as the same VmFlags line, and the contents with it. */
#include "zdtmlib.h"

#include <sys/mman.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static const struct advice {
	const char *name;
	int advice;
} advices[] = {
	{ "none", -1 },
	{ "random", MADV_RANDOM },
	{ "sequential", MADV_SEQUENTIAL },
	{ "dontfork", MADV_DONTFORK },
	{ "dontdump", MADV_DONTDUMP },
	{ "hugepage", MADV_HUGEPAGE },
	{ "nohugepage", MADV_NOHUGEPAGE },
	{ "wipeonfork", MADV_WIPEONFORK },
	{ "mergeable", MADV_MERGEABLE },
};
enum { COUNT = sizeof(advices) / sizeof(advices[0]), BYTES = 65536 };

static void read_flags(const void *address, char *ret_flags, size_t bytes)
{
	char start[32];
	const char *line;

	snprintf(start, sizeof(start), "%lx-", (unsigned long)address);
	line = strstr(test_slurp("/proc/self/smaps"), start);
	if (!line)
		FAIL("no mapping starts at %p", address);
	line = strstr(line, "VmFlags:");
	snprintf(ret_flags, bytes, "%.*s", (int)strcspn(line, "\n"), line);
}

int main(void)
{
	char *room, *at[COUNT], before[COUNT][128], now[128];
	bool is_set[COUNT];

	test_start();
	/* Whatever else is mapped, none may become one with it. */
	room = MUST(mmap(NULL, COUNT * 2 * BYTES + BYTES, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < COUNT; i++) {
		at[i] = MUST(mmap(room + BYTES + i * 2 * BYTES, BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		is_set[i] = advices[i].advice < 0 || madvise(at[i], BYTES, advices[i].advice) == 0;
		test_pattern(at[i], BYTES / 2, i);
	}
	for (int i = 0; i < COUNT; i++)
		read_flags(at[i], before[i], sizeof(before[i]));
	test_wait();
	for (int i = 0; i < COUNT; i++) {
		EXPECT_PATTERN(at[i], BYTES / 2, i);
		read_flags(at[i], now, sizeof(now));
		if (is_set[i] && strcmp(now, before[i]) != 0)
			FAIL("%s: expected \"%s\", found \"%s\"", advices[i].name, before[i], now);
	}
	return test_pass();
}
