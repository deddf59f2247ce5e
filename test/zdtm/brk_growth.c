/* The heap's end: same place, same contents, and it grows and shrinks from there. */
#include "zdtmlib.h"

int main(void)
{
	char *start, *end;

	test_start();
	start = MUST(sbrk(0));
	MUST(sbrk(100000));
	end = sbrk(0);
	test_pattern(start, 100000, 1);
	test_wait();
	EXPECT(sbrk(0) == end);
	EXPECT_PATTERN(start, 100000, 1);
	EXPECT(sbrk(1 << 20) == end);
	EXPECT_EQ(end[(1 << 20) - 1], 0);
	test_pattern(end, 1 << 20, 2);
	EXPECT_PATTERN(end, 1 << 20, 2);
	MUST(brk(start + 50000));
	EXPECT(sbrk(0) == start + 50000);
	EXPECT_PATTERN(start, 50000, 1);
	return test_pass();
}
