/* The main stack: deep recursion is where it was, and after the restore the stack still grows by megabytes. */
#include "zdtmlib.h"

static volatile int sink;

static int __attribute__((noinline)) deep(int depth, int levels)
{
	volatile uint32_t here[256];

	test_pattern((void *)here, sizeof(here), depth);
	if (depth < levels) {
		sink = deep(depth + 1, levels);
	} else {
		test_wait();
		sink = 0;
	}
	EXPECT_PATTERN((void *)here, sizeof(here), depth);
	return sink + 1;
}

static int __attribute__((noinline)) grow(int kib)
{
	volatile char here[1024];

	here[0] = here[1023] = (char)kib;
	if (kib > 0)
		sink = grow(kib - 1);
	return here[0] + sink;
}

int main(void)
{
	test_start();
	EXPECT_EQ(deep(0, 1000), 1001);
	grow(6000);
	return test_pass();
}
