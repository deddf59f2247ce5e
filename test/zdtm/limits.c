/* Every resource limit, soft and hard, in a parent and a child that differ. */
#include "zdtmlib.h"

#include <sys/resource.h>

static void lower(int shift)
{
	for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
		struct rlimit limit;

		if (i == RLIMIT_AS || i == RLIMIT_DATA || i == RLIMIT_NPROC)
			continue;
		MUST(getrlimit(i, &limit));
		limit.rlim_max = limit.rlim_max == RLIM_INFINITY ? 1000000000UL + i : limit.rlim_max;
		limit.rlim_cur = limit.rlim_max - limit.rlim_max / (16 >> shift);
		if (i == RLIMIT_NOFILE && limit.rlim_cur < 256)
			limit.rlim_cur = 256;
		MUST(setrlimit(i, &limit));
	}
}

static void check(const struct rlimit *before)
{
	for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
		struct rlimit now;

		MUST(getrlimit(i, &now));
		if (now.rlim_cur != before[i].rlim_cur || now.rlim_max != before[i].rlim_max)
			FAIL("limit %d: expected %#lx %#lx, found %#lx %#lx", i, before[i].rlim_cur, before[i].rlim_max,
			     now.rlim_cur, now.rlim_max);
	}
}

static void child(void *arg)
{
	struct rlimit limits[RLIM_NLIMITS];

	(void)arg;
	lower(2);
	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		MUST(getrlimit(i, &limits[i]));
	child_wait();
	check(limits);
}

int main(void)
{
	struct rlimit limits[RLIM_NLIMITS];
	pid_t pid;

	test_start();
	pid = test_fork(child, NULL);
	lower(0);
	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		MUST(getrlimit(i, &limits[i]));
	test_wait();
	check(limits);
	test_end_child(pid);
	return test_pass();
}
