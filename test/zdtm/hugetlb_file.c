/* A file on hugetlbfs, mapped shared and privately. */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define HUGE (2ul << 20)

int main(void)
{
	const int rw = PROT_READ | PROT_WRITE;
	char *shared, *private;
	int fd;

	test_start();
	MUST(mkdir("huge", 0700));
	if (mount("none", "huge", "hugetlbfs", 0, NULL) < 0)
		test_skip("mount hugetlbfs: %s", strerror(errno));
	fd = MUST(open("huge/file", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(fd, 2 * HUGE));
	shared = mmap(NULL, 2 * HUGE, rw, MAP_SHARED, fd, 0);
	private = mmap(NULL, 2 * HUGE, rw, MAP_PRIVATE, fd, 0);
	if (shared == MAP_FAILED || private == MAP_FAILED)
		test_skip("mmap of huge pages: %s", strerror(errno));
	test_pattern(shared, HUGE, 1);
	private[HUGE] = 'p';
	test_wait();
	EXPECT_PATTERN(shared, HUGE, 1);
	EXPECT_PATTERN(private, HUGE, 1);
	EXPECT_EQ(private[HUGE], 'p');
	EXPECT_EQ(shared[HUGE], 0);
	shared[5] = 's';
	EXPECT_EQ(private[5], 's');
	private[5] = 't';
	EXPECT_EQ(shared[5], 's');
	EXPECT_EQ(lseek(fd, 0, SEEK_END), 2 * HUGE);
	return test_pass();
}
