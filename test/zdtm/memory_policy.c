/*
 * A mapping with a NUMA policy of its own (mbind): refused, and the policy stays. With many threads mappings are looked
 * at in another way; shared memory has its policies in the object.
 */
#include "zdtmlib.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { THREADS = 100 };

static void *sleep_on(void *arg)
{
	for (;;)
		(void)pause();
	return arg;
}

static void start_threads(void)
{
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		MUST(-pthread_create(&thread, NULL, sleep_on, NULL));
	}
}

int main(int argc, char **argv)
{
	const bool is_shared = argc > 2;
	const size_t bytes = 16 << 12;
	unsigned long nodes = 1;
	int mode = -1;
	char *area;

	test_start();
	if (argc > 1)
		start_threads();
	area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, (is_shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
	MUST(area == MAP_FAILED ? -1 : 0);
	if (syscall(SYS_mbind, area, bytes, MPOL_PREFERRED, &nodes, 8 * sizeof(nodes), 0) < 0 && errno == ENOSYS)
		test_skip("a kernel without NUMA policies");
	test_wait();
	MUST(syscall(SYS_get_mempolicy, &mode, NULL, 0, area, MPOL_F_ADDR));
	EXPECT_EQ(mode, MPOL_PREFERRED);
	return test_pass();
}
