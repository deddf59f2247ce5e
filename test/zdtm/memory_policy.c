/*
 * Mappings with NUMA policies of their own (mbind): private and shared ones, parts of a larger one, with a home node;
 * memory behind a mapping that has set none itself; with many threads mappings are looked at in another way
 * ("threads"). With the argument "orphan" whoever has set the policy of shared memory has unmapped it: refused.
 */
#include "zdtmlib.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>

#define THREADS        100
#define PAGE           4096
#define PAGES          16
#define BYTES          (PAGES * PAGE)
#define HOME_NODE_CALL 450

static const unsigned long node_0 = 1;

static char *map(int flags, int fd)
{
	return MUST(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags, fd, 0));
}

static void set(char *address, size_t bytes, int mode)
{
	const bool has_nodes = (mode & ~MPOL_MODE_FLAGS) != MPOL_LOCAL;

	if (syscall(SYS_mbind, address, bytes, mode, has_nodes ? &node_0 : NULL, 8 * sizeof(node_0), 0) < 0) {
		if (errno == ENOSYS)
			test_skip("a kernel without NUMA policies");
		FAIL("mbind: %s", strerror(errno));
	}
}

static void expect(const char *address, int mode, unsigned long nodes)
{
	unsigned long found_nodes[16] = { 0 };
	int found = -1;

	MUST(syscall(SYS_get_mempolicy, &found, found_nodes, 8 * sizeof(found_nodes), address, MPOL_F_ADDR));
	EXPECT_EQ(found, mode);
	EXPECT_EQ(found_nodes[0], nodes);
}

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
	const char *what = argc > 1 ? argv[1] : "";
	char *own, *parts, *shared, *object, *other, *text;
	int fd;

	test_start();
	fd = MUST(syscall(SYS_memfd_create, "memory", 0));
	MUST(ftruncate(fd, BYTES));
	object = map(MAP_SHARED, fd);
	other = map(MAP_SHARED, fd);
	set(object, BYTES, MPOL_BIND);
	if (!strcmp(what, "threads"))
		start_threads();
	if (!strcmp(what, "orphan")) {
		MUST(munmap(object, BYTES));
		test_wait();
		expect(other, MPOL_BIND, 1);
		return test_pass();
	}
	own = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	test_pattern(own, BYTES, 1);
	set(own, BYTES, MPOL_PREFERRED);
	parts = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	set(parts + PAGE, PAGE, MPOL_INTERLEAVE);
	set(parts + 3 * PAGE, 2 * PAGE, MPOL_LOCAL);
	set(parts + 8 * PAGE, PAGE, MPOL_BIND | MPOL_F_STATIC_NODES);
	test_pattern(parts, BYTES, 2);
	shared = map(MAP_SHARED | MAP_ANONYMOUS, -1);
	set(shared + PAGE, PAGE, MPOL_BIND);
	test_pattern(shared, BYTES, 3);
	(void)syscall(HOME_NODE_CALL, parts + 8 * PAGE, PAGE, 0, 0);
	fd = MUST(open("/proc/self/exe", O_RDONLY));
	text = MUST(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
	set(text, PAGE, MPOL_PREFERRED);
	test_wait();
	expect(own, MPOL_PREFERRED, 1);
	EXPECT_PATTERN(own, BYTES, 1);
	expect(parts, MPOL_DEFAULT, 0);
	expect(parts + PAGE, MPOL_INTERLEAVE, 1);
	expect(parts + 2 * PAGE, MPOL_DEFAULT, 0);
	expect(parts + 4 * PAGE, MPOL_LOCAL, 0);
	expect(parts + 5 * PAGE, MPOL_DEFAULT, 0);
	expect(parts + 8 * PAGE, MPOL_BIND | MPOL_F_STATIC_NODES, 1);
	EXPECT_PATTERN(parts, BYTES, 2);
	expect(shared, MPOL_DEFAULT, 0);
	expect(shared + PAGE, MPOL_BIND, 1);
	expect(shared + 2 * PAGE, MPOL_DEFAULT, 0);
	EXPECT_PATTERN(shared, BYTES, 3);
	expect(object + PAGE, MPOL_BIND, 1);
	expect(other + PAGE, MPOL_BIND, 1);
	expect(text, MPOL_PREFERRED, 1);
	/* A change holds for the memory, not for the mapping. */
	set(other, BYTES, MPOL_INTERLEAVE);
	expect(object, MPOL_INTERLEAVE, 1);
	return test_pass();
}
