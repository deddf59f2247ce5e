/*
 * Times of last access of files that are mapped: a named one and a deleted one, private and
 * shared, all last accessed before they were changed, so that the next mmap(2) would note it.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/stat.h>

static void set_times(int fd)
{
	const struct timespec times[] = { { .tv_sec = 1000, .tv_nsec = 5 }, { .tv_sec = 2000, .tv_nsec = 6 } };

	MUST(futimens(fd, times));
}

static int make(const char *name)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_EXCL, 0600));

	EXPECT_EQ(write(fd, "mapped", 6), 6);
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	set_times(fd);
	return fd;
}

static void check_times(int fd)
{
	struct stat st;

	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_atim.tv_sec, 1000);
	EXPECT_EQ(st.st_atim.tv_nsec, 5);
	EXPECT_EQ(st.st_mtim.tv_sec, 2000);
	EXPECT_EQ(st.st_mtim.tv_nsec, 6);
}

int main(void)
{
	int named, unnamed;

	test_start();
	named = make("named");
	unnamed = make("unnamed");
	MUST(unlink("unnamed"));
	test_wait();
	check_times(named);
	check_times(unnamed);
	return test_pass();
}
