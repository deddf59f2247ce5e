/*
 * Descriptors up to the last number that the limit allows, as valgrind keeps them, and a child with others: there is no
 * room above them for those of a restore.
 */
#include "zdtmlib.h"

#include <sys/resource.h>
#include <sys/stat.h>

static int highest, middle;

static void check_number(int fd, off_t size)
{
	struct stat st;

	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_size, size);
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd <= highest; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int move_to(int fd, int number)
{
	int moved = MUST(dup3(fd, number, O_CLOEXEC));

	MUST(close(fd));
	return moved;
}

static void child(void *arg)
{
	int fd = move_to(MUST(open("own", O_RDWR | O_CREAT, 0600)), middle);

	(void)arg;
	MUST(ftruncate(fd, 30));
	child_wait();
	check_number(middle, 30);
	check_number(highest, 10);
	check_number(highest - 2, 20);
	EXPECT_EQ(count_descriptors(), 6);
}

int main(void)
{
	struct rlimit limit;
	pid_t pid;
	int fd;

	test_start();
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	highest = (int)limit.rlim_max - 1;
	middle = highest / 3;
	fd = MUST(open("first", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(fd, 10));
	(void)move_to(fd, highest);
	fd = MUST(open("second", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(fd, 20));
	(void)move_to(fd, highest - 2);
	pid = test_fork(child, NULL);
	test_wait();
	check_number(highest, 10);
	check_number(highest - 2, 20);
	EXPECT_EQ(fcntl(highest, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(count_descriptors(), 5);
	test_end_child(pid);
	return test_pass();
}
