/* A process that cannot map any more (RLIMIT_AS) has no room for what a dump puts into it: the hint names the limit. */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/resource.h>

int main(void)
{
	struct rlimit limit;
	char *page;

	test_start();
	limit.rlim_cur = (rlim_t)test_field(test_slurp("/proc/self/status"), "VmSize", 10) * 1024;
	limit.rlim_max = RLIM_INFINITY;
	MUST(setrlimit(RLIMIT_AS, &limit));
	test_wait();
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(page == MAP_FAILED && errno == ENOMEM);
	return test_pass();
}
