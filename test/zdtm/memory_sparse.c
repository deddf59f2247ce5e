/* 64 GiB reserved without backing, a page in use here and there: must cost what is used, not what is reserved. */
#include "zdtmlib.h"

#include <sys/mman.h>

int main(void)
{
	const size_t bytes = 64UL << 30, step = 1UL << 30;
	long long resident;
	char *base;

	test_start();
	base = MUST(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	for (size_t at = 0; at < bytes; at += step)
		test_pattern(base + at + (at / step) * 4096, 4096, at / step);
	test_pattern(base + bytes - 4096, 4096, 999);
	resident = test_field(test_slurp("/proc/self/status"), "VmRSS", 10);
	test_wait();
	for (size_t at = 0; at < bytes; at += step)
		EXPECT_PATTERN(base + at + (at / step) * 4096, 4096, at / step);
	EXPECT_PATTERN(base + bytes - 4096, 4096, 999);
	EXPECT(test_field(test_slurp("/proc/self/status"), "VmRSS", 10) < resident + 32768);
	return test_pass();
}
