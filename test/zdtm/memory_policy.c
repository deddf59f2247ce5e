/* A mapping with a NUMA policy of its own (mbind): refused, and the policy stays. */
#include "zdtmlib.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>

int main(void)
{
	const size_t bytes = 16 << 12;
	unsigned long nodes = 1;
	int mode = -1;
	char *area;

	test_start();
	area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(area == MAP_FAILED ? -1 : 0);
	if (syscall(SYS_mbind, area, bytes, MPOL_PREFERRED, &nodes, 8 * sizeof(nodes), 0) < 0 && errno == ENOSYS)
		test_skip("a kernel without NUMA policies");
	test_wait();
	MUST(syscall(SYS_get_mempolicy, &mode, NULL, 0, area, MPOL_F_ADDR));
	EXPECT_EQ(mode, MPOL_PREFERRED);
	return test_pass();
}
