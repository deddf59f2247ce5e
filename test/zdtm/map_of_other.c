/*
 * A file that one process maps and another one has open. Who has it open shares its descriptors with a child, and a
 * chain of other processes has to be made, too: at a restore the descriptor comes late.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

enum { CHAIN = 40 };

static void stay(void *arg)
{
	int left = *(int *)arg - 1;
	pid_t pid = left > 0 ? test_fork(stay, &left) : 0;

	child_wait();
	if (pid)
		test_end_child(pid);
}

static void keep_open(void *arg)
{
	int fd = MUST(open("shared", O_RDWR | O_CREAT, 0600));
	pid_t pid = MUST(syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL));

	(void)arg;
	MUST(ftruncate(fd, 4096));
	if (pid == 0)
		for (;;)
			pause();
	child_wait();
	EXPECT_EQ(pwrite(fd, "y", 1, 0), 1);
	MUST(kill(pid, SIGKILL));
	EXPECT(WIFSIGNALED(test_reap(pid)));
}

int main(void)
{
	int fd, count = CHAIN;
	pid_t keeper, chain;
	char *mapped;

	test_start();
	keeper = test_fork(keep_open, NULL);
	fd = MUST(open("shared", O_RDWR));
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(mapped != MAP_FAILED);
	MUST(close(fd));
	chain = test_fork(stay, &count);
	*mapped = 'x';
	test_wait();
	EXPECT_EQ(*mapped, 'x');
	test_end_child(keeper);
	EXPECT_EQ(*mapped, 'y');
	test_end_child(chain);
	return test_pass();
}
