/* The vdso: clocks through it go on and agree with the system calls, and they do not go back. */
#include "zdtmlib.h"

#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>

static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE,
				    CLOCK_TAI };
enum { COUNT = sizeof(clocks) / sizeof(clocks[0]) };

static int64_t ns(const struct timespec *ts)
{
	return ts->tv_sec * 1000000000LL + ts->tv_nsec;
}

int main(void)
{
	struct timespec before[COUNT], fast, slow;
	struct timeval tv;
	unsigned int cpu, node;
	uint32_t magic;

	test_start();
	for (int i = 0; i < COUNT; i++)
		MUST(clock_gettime(clocks[i], &before[i]));
	test_wait();
	for (int i = 0; i < COUNT; i++) {
		MUST(clock_gettime(clocks[i], &fast));
		MUST(syscall(SYS_clock_gettime, clocks[i], &slow));
		EXPECT(ns(&fast) >= ns(&before[i]));
		EXPECT(llabs(ns(&slow) - ns(&fast)) < 1000000000LL);
	}
	MUST(gettimeofday(&tv, NULL));
	EXPECT(llabs(tv.tv_sec - time(NULL)) <= 1);
	MUST(getcpu(&cpu, &node));
	magic = *(const uint32_t *)getauxval(AT_SYSINFO_EHDR);
	EXPECT_EQ(magic, 0x464c457f);
	EXPECT(strstr(test_slurp("/proc/self/maps"), "[vdso]"));
	EXPECT(strstr(test_slurp("/proc/self/maps"), "[vvar]"));
	return test_pass();
}
