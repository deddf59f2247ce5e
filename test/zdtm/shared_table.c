/* Two processes that share one descriptor table (CLONE_FILES): what one opens the other closes. A third has its own. */
#include "zdtmlib.h"

#include <sys/mman.h>

static volatile int *stage;

static void child(void *arg)
{
	(void)arg;
	child_wait();
	EXPECT_EQ(fcntl(77, F_GETFD), -1);
}

int main(void)
{
	pid_t pid, other;

	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	other = test_fork(child, NULL);
	pid = MUST(syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL));
	if (pid == 0) {
		test_post(stage, 1);
		test_await(stage, 2);
		EXPECT_EQ(fcntl(77, F_GETFD), 0); /* opened by the parent after the restore */
		close(77);
		_exit(0);
	}
	test_await(stage, 1);
	test_wait();
	EXPECT_EQ(syscall(SYS_kcmp, getpid(), pid, 2, 0, 0), 0);
	EXPECT(syscall(SYS_kcmp, getpid(), other, 2, 0, 0) != 0);
	EXPECT(syscall(SYS_kcmp, getpid(), pid, 3, 0, 0) != 0);
	EXPECT_EQ(dup2(0, 77), 77);
	test_post(stage, 2);
	EXPECT_EQ(test_reap(pid), 0);
	EXPECT_EQ(fcntl(77, F_GETFD), -1);
	test_end_child(other);
	return test_pass();
}
