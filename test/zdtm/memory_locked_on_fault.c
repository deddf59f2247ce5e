/* mlock2(MLOCK_ONFAULT): locked, and yet not resident before the first touch. */
#include "zdtmlib.h"

#include <sys/mman.h>

int main(void)
{
	unsigned char resident[16];
	char *base;
	long before;

	test_start();
	base = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(syscall(SYS_mlock2, base, 65536, 1));
	test_pattern(base, 4096, 2);
	before = test_field(test_slurp("/proc/self/status"), "VmLck", 10);
	test_wait();
	EXPECT_PATTERN(base, 4096, 2);
	EXPECT_EQ(test_field(test_slurp("/proc/self/status"), "VmLck", 10), before);
	MUST(mincore(base, 65536, resident));
	for (int i = 1; i < 16; i++)
		EXPECT_EQ(resident[i] & 1, 0);
	return test_pass();
}
