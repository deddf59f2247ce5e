/*
 * Two processes that share one descriptor table (CLONE_FILES): what one opens the other closes, and what one has locked
 * stays so, whichever of them is restored first. A third has its own.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

static volatile int *stage;
static int locked;

static void child(void *arg)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 5, .l_len = 1 };

	(void)arg;
	child_wait();
	MUST(fcntl(locked, F_GETLK, &lock));
	EXPECT_EQ(lock.l_type, F_RDLCK);
	EXPECT_EQ(lock.l_start, 4);
	EXPECT_EQ(lock.l_len, 12);
	EXPECT_EQ(fcntl(77, F_GETFD), -1);
}

int main(void)
{
	struct flock lock = { .l_type = F_RDLCK, .l_start = 4, .l_len = 12 };
	pid_t pid, other;

	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	locked = MUST(open("locked", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(locked, "x", 1), 1);
	MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, locked, 0));
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
	MUST(fcntl(locked, F_SETLK, &lock));
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
