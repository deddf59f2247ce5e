/* Rare kinds of private memory: huge pages of the pool, droppable, sealed; each where the kernel has it. */
#include "zdtmlib.h"

#include <sys/mman.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

int main(void)
{
	char *huge, *droppable, *sealed;
	bool is_sealed;

	test_start();
	huge = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	droppable = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	sealed = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	test_pattern(sealed, 65536, 3);
	is_sealed = syscall(SYS_mseal, sealed, 65536, 0) == 0;
	if (huge != MAP_FAILED)
		test_pattern(huge, 2 << 20, 1);
	test_wait();
	if (huge != MAP_FAILED)
		EXPECT_PATTERN(huge, 2 << 20, 1);
	if (droppable != MAP_FAILED)
		memset(droppable, 1, 65536);
	EXPECT_PATTERN(sealed, 65536, 3);
	if (is_sealed) {
		EXPECT_EQ(munmap(sealed, 65536), -1);
		EXPECT_EQ(errno, EPERM);
	}
	return test_pass();
}
