/*
 * Huge pages: private and shared mappings, read-only and without rights, with holes, a memfd with its seals, mapped
 * shared and privately, shared with a child, and one of a size asked for.
 */
#include "zdtmlib.h"

#include <linux/memfd.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define HUGE (2ul << 20)
#define RW   (PROT_READ | PROT_WRITE)

static char *shared, *cowed;

static void child(void *arg)
{
	(void)arg;
	cowed[0] = 'c';
	child_wait();
	shared[HUGE + 5] = 'x';
	EXPECT_EQ(cowed[0], 'c');
	EXPECT_PATTERN(cowed + 4096, 4096, 1);
}

static char *map(int flags, int fd, size_t pages)
{
	void *memory = mmap(NULL, pages * HUGE, RW, flags, fd, 0);

	if (memory == MAP_FAILED)
		test_skip("mmap of %zu huge pages: %s", pages, strerror(errno));
	return memory;
}

int main(void)
{
	const int private_flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
	char *private, *closed, *copied, *mapped, *sparse, link[64], expected[64];
	struct statfs fs;
	struct stat st;
	ssize_t n;
	pid_t pid;
	int fd;

	test_start();
	private = map(private_flags | MAP_HUGE_2MB, -1, 2);
	cowed = map(private_flags, -1, 1);
	closed = map(private_flags, -1, 1);
	sparse = map(private_flags | MAP_NORESERVE, -1, 100);
	shared = map(MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 2);
	fd = memfd_create("huge", MFD_HUGETLB | MFD_HUGE_2MB | MFD_ALLOW_SEALING);
	if (fd < 0)
		test_skip("memfd_create: %s", strerror(errno));
	MUST(fchmod(fd, 0640));
	MUST(ftruncate(fd, 3 * HUGE));
	mapped = map(MAP_SHARED, fd, 3);
	copied = map(MAP_PRIVATE, fd, 2);
	test_pattern(private, HUGE, 11);
	cowed[0] = 'p';
	test_pattern(cowed + 4096, 4096, 1);
	test_pattern(closed, 4096, 2);
	MUST(mprotect(closed, HUGE, PROT_NONE));
	sparse[50 * HUGE + 7] = 's';
	shared[3] = 'y';
	test_pattern(mapped + 2 * HUGE, HUGE, 3);
	strcpy(mapped, "first");
	copied[HUGE] = 'd';
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	MUST(lseek(fd, 1234, SEEK_SET));
	MUST(mprotect(copied, HUGE, PROT_READ));
	snprintf(expected, sizeof(expected), "/memfd:huge (deleted)");
	pid = test_fork(child, NULL);
	test_wait();
	EXPECT_PATTERN(private, HUGE, 11);
	EXPECT_EQ(private[HUGE], 0);
	EXPECT_EQ(cowed[0], 'p');
	EXPECT_PATTERN(cowed + 4096, 4096, 1);
	MUST(mprotect(closed, HUGE, PROT_READ));
	EXPECT_PATTERN(closed, 4096, 2);
	EXPECT_EQ(sparse[50 * HUGE + 7], 's');
	EXPECT_EQ(shared[3], 'y');
	test_end_child(pid);
	EXPECT_EQ(shared[HUGE + 5], 'x');
	EXPECT_EQ(strcmp(mapped, "first"), 0);
	EXPECT_EQ(strcmp(copied, "first"), 0);
	EXPECT_EQ(copied[HUGE], 'd');
	EXPECT_EQ(mapped[HUGE], 0);
	EXPECT_PATTERN(mapped + 2 * HUGE, HUGE, 3);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 1234);
	EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_GROW);
	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_mode & 07777, 0640);
	EXPECT_EQ(st.st_size, 3 * HUGE);
	MUST(fstatfs(fd, &fs));
	EXPECT_EQ(fs.f_bsize, HUGE);
	n = MUST(readlink("/proc/self/fd/3", link, sizeof(link) - 1));
	link[n] = '\0';
	EXPECT_EQ(strcmp(link, expected), 0);
	return test_pass();
}
