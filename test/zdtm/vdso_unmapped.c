/* A process without a vdso: it was unmapped, and must not come back. */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <time.h>

static void unmap(const char *name)
{
	unsigned long from, to;
	const char *text = test_slurp("/proc/self/maps"), *at = strstr(text, name);

	if (!at)
		return;
	while (at > text && at[-1] != '\n')
		at--;
	EXPECT(sscanf(at, "%lx-%lx", &from, &to) == 2);
	EXPECT_EQ(syscall(SYS_munmap, from, to - from), 0);
}

int main(void)
{
	struct timespec ts;

	test_start();
	unmap("[vdso]");
	unmap("[vvar_vclock]");
	unmap("[vvar]");
	test_wait();
	EXPECT(!strstr(test_slurp("/proc/self/maps"), "[vdso]"));
	EXPECT(!strstr(test_slurp("/proc/self/maps"), "[vvar"));
	EXPECT_EQ(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts), 0);
	return test_pass();
}
