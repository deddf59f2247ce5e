/* Two processes that share one working directory, root and umask (CLONE_FS): what one changes holds for both. */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/stat.h>

static volatile int *stage;

int main(void)
{
	char found[512];
	pid_t pid;

	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(mkdir("below", 0700));
	pid = MUST(syscall(SYS_clone, CLONE_FS | SIGCHLD, NULL, NULL, NULL, NULL));
	if (pid == 0) {
		test_post(stage, 1);
		test_await(stage, 2);
		MUST(chdir("below"));
		umask(0123);
		_exit(0);
	}
	test_await(stage, 1);
	test_wait();
	EXPECT_EQ(syscall(SYS_kcmp, getpid(), pid, 3, 0, 0), 0);
	EXPECT(syscall(SYS_kcmp, getpid(), pid, 2, 0, 0) != 0);
	test_post(stage, 2);
	EXPECT_EQ(test_reap(pid), 0);
	EXPECT(getcwd(found, sizeof(found)));
	EXPECT_STR(strrchr(found, '/'), "/below");
	EXPECT_EQ(umask(0), 0123);
	return test_pass();
}
