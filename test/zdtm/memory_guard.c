/* Guard pages (MADV_GUARD_INSTALL): they fault after the restore as before, their neighbours keep their contents. */
#include "zdtmlib.h"

#include <setjmp.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif
#define PAGE 4096UL

static sigjmp_buf back;

static void on_fault(int signo)
{
	(void)signo;
	siglongjmp(back, 1);
}

static bool can_read(const volatile char *address)
{
	if (sigsetjmp(back, 1))
		return false;
	(void)*address;
	return true;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_fault };
	char *base;

	test_start();
	MUST(sigaction(SIGSEGV, &action, NULL));
	base = MUST(mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	test_pattern(base, 16 * PAGE, 1);
	if (madvise(base + 4 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL) < 0)
		test_skip("no MADV_GUARD_INSTALL");
	for (int i = 0; i < 16; i++)
		test_pattern(base + i * PAGE, i == 4 || i == 5 ? 0 : PAGE, i);
	test_wait();
	for (int i = 0; i < 16; i++) {
		EXPECT_EQ(can_read(base + i * PAGE), i != 4 && i != 5);
		if (i != 4 && i != 5)
			EXPECT_PATTERN(base + i * PAGE, PAGE, i);
	}
	MUST(madvise(base + 4 * PAGE, 2 * PAGE, MADV_GUARD_REMOVE));
	EXPECT(can_read(base + 4 * PAGE));
	EXPECT_EQ(base[4 * PAGE], 0);
	return test_pass();
}
