/*
 * Private anonymous memory: holes between mappings, every protection with contents behind it (also none and
 * read-only), pages never touched, pages freed again, zero pages, and an access that must still fault.
 */
#include "zdtmlib.h"

#include <setjmp.h>
#include <sys/mman.h>

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

static bool can_write(volatile char *address)
{
	if (sigsetjmp(back, 1))
		return false;
	*address = *address;
	return true;
}

int main(void)
{
	static const int protections[] = { PROT_NONE,
					   PROT_READ,
					   PROT_WRITE,
					   PROT_READ | PROT_WRITE,
					   PROT_READ | PROT_EXEC,
					   PROT_READ | PROT_WRITE | PROT_EXEC };
	enum { KINDS = 6, PAGES = 8 };
	struct sigaction action = { .sa_handler = on_fault };
	char *base, *at[KINDS], *sparse;
	unsigned char resident[64];

	test_start();
	MUST(sigaction(SIGSEGV, &action, NULL));
	base = MUST(mmap(NULL, KINDS * 2 * PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(munmap(base, KINDS * 2 * PAGES * PAGE));
	for (int i = 0; i < KINDS; i++) {
		at[i] = base + i * 2 * PAGES * PAGE;
		MUST(mmap(at[i], PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
		test_pattern(at[i], PAGES * PAGE / 2, i);
		MUST(mprotect(at[i], PAGES * PAGE, protections[i]));
	}
	sparse = MUST(mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < 64; i += 3)
		test_pattern(sparse + i * PAGE, PAGE, 50 + i);
	MUST(madvise(sparse + 3 * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(sparse[5 * PAGE], 0);
	test_wait();
	for (int i = 0; i < KINDS; i++) {
		EXPECT_EQ(can_read(at[i]), (protections[i] & (PROT_READ | PROT_WRITE)) != 0);
		EXPECT_EQ(can_write(at[i]), (protections[i] & PROT_WRITE) != 0);
		EXPECT(!can_read(at[i] + PAGES * PAGE));
		MUST(mprotect(at[i], PAGES * PAGE, PROT_READ));
		EXPECT_PATTERN(at[i], PAGES * PAGE / 2, i);
		for (size_t j = PAGES * PAGE / 2; j < PAGES * PAGE; j++) {
			if (at[i][j])
				FAIL("page %zu of mapping %d: expected zero, found %02x", j / PAGE, i, at[i][j]);
		}
	}
	MUST(mincore(sparse, 64 * PAGE, resident));
	for (int i = 0; i < 64; i++) {
		if (i % 3 == 0 && i != 3)
			EXPECT_PATTERN(sparse + i * PAGE, PAGE, 50 + i);
		else if (i % 3 == 1 && (resident[i] & 1))
			FAIL("page %d was never touched and is resident", i);
	}
	EXPECT_EQ(sparse[3 * PAGE], 0);
	return test_pass();
}
