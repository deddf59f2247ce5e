/* Trap instructions that a program has put into its own text, where it wants to be told: nobody's probes. */
#include "zdtmlib.h"

#include <sys/mman.h>

static volatile int hits;

static __attribute__((noinline, aligned(16))) int patched(int value)
{
	__asm__ volatile("nop; nop; nop; nop" : "+r"(value));
	return value + 1;
}

static void on_trap(int signal)
{
	(void)signal;
	hits++;
}

int main(void)
{
	const long page = sysconf(_SC_PAGESIZE);
	unsigned char *code = (unsigned char *)(uintptr_t)patched, *at = memmem(code, 32, "\x90\x90\x90\x90", 4);
	void *start = (void *)((uintptr_t)code & ~(uintptr_t)(page - 1));

	test_start();
	EXPECT(at);
	EXPECT(signal(SIGTRAP, on_trap) != SIG_ERR);
	MUST(mprotect(start, 2 * (size_t)page, PROT_READ | PROT_WRITE | PROT_EXEC));
	at[1] = 0xcc;
	MUST(mprotect(start, 2 * (size_t)page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(patched(5), 6);
	EXPECT_EQ(hits, 1);
	test_wait();
	EXPECT_EQ(patched(6), 7);
	EXPECT_EQ(hits, 2);
	return test_pass();
}
