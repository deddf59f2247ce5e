/* A shared mapping of a file, in two processes and by descriptor: what one writes the others see, and so does the file.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

static char *base;
static int fd;

static void child(void *arg)
{
	(void)arg;
	child_wait();
	base[8192] = 'c';
}

int main(void)
{
	pid_t pid;
	char found;

	test_start();
	fd = MUST(open("shared", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(fd, 65536));
	base = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	test_pattern(base, 4096, 1);
	pid = test_fork(child, NULL);
	test_wait();
	EXPECT_PATTERN(base, 4096, 1);
	test_end_child(pid);
	EXPECT_EQ(base[8192], 'c');
	EXPECT_EQ(pread(fd, &found, 1, 8192), 1);
	EXPECT_EQ(found, 'c');
	EXPECT_EQ(pwrite(fd, "x", 1, 12288), 1);
	EXPECT_EQ(base[12288], 'x');
	return test_pass();
}
