/* Processes that share one descriptor table (CLONE_FILES) or one working directory and umask (CLONE_FS), and one that
 * does not. */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/stat.h>

static struct shared {
	volatile int stage;
} * shared;

static pid_t clone_child(unsigned long flags, void (*act)(void))
{
	pid_t pid = MUST(syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL));

	if (pid == 0) {
		act();
		_exit(0);
	}
	return pid;
}

static void wait_stage(int stage)
{
	test_await(&shared->stage, stage);
}

static void share_files(void)
{
	test_post(&shared->stage, shared->stage + 1);
	wait_stage(10);
	EXPECT_EQ(fcntl(77, F_GETFD), 0); /* opened by the parent after the restore */
	close(77);
	test_post(&shared->stage, 11);
}

static void share_directory(void)
{
	test_post(&shared->stage, shared->stage + 1);
	wait_stage(20);
	MUST(chdir("below"));
	umask(0123);
	test_post(&shared->stage, 21);
}

int main(void)
{
	char found[512];
	pid_t pids[2];

	test_start();
	shared = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(mkdir("below", 0700));
	pids[0] = clone_child(CLONE_FILES, share_files);
	wait_stage(1);
	pids[1] = clone_child(CLONE_FS, share_directory);
	wait_stage(2);
	test_wait();
	EXPECT_EQ(syscall(SYS_kcmp, getpid(), pids[0], 2, 0, 0), 0);
	EXPECT(syscall(SYS_kcmp, getpid(), pids[0], 3, 0, 0) != 0);
	EXPECT_EQ(syscall(SYS_kcmp, getpid(), pids[1], 3, 0, 0), 0);
	EXPECT(syscall(SYS_kcmp, getpid(), pids[1], 2, 0, 0) != 0);
	EXPECT_EQ(dup2(0, 77), 77);
	test_post(&shared->stage, 10);
	wait_stage(11);
	EXPECT_EQ(fcntl(77, F_GETFD), -1);
	test_post(&shared->stage, 20);
	wait_stage(21);
	EXPECT(getcwd(found, sizeof(found)));
	EXPECT_STR(strrchr(found, '/'), "/below");
	EXPECT_EQ(umask(0), 0123);
	EXPECT_EQ(test_reap(pids[0]), 0);
	EXPECT_EQ(test_reap(pids[1]), 0);
	return test_pass();
}
