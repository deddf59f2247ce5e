/* Two processes with one address space (CLONE_VM) and two descriptor tables: either kept so, or refused. */
#include "zdtmlib.h"

#include <sys/mman.h>

static volatile int stage, value = 1;

static int child(void *arg)
{
	(void)arg;
	test_post(&stage, 1);
	test_await(&stage, 2);
	value = 77;
	syscall(SYS_exit_group, 0);
	return 0;
}

int main(void)
{
	char *stack;
	pid_t pid;

	test_start();
	stack = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	pid = MUST(clone(child, stack + 65536, CLONE_VM | SIGCHLD, NULL));
	test_await(&stage, 1);
	test_wait();
	EXPECT_EQ(syscall(SYS_kcmp, getpid(), pid, 1, 0, 0), 0);
	test_post(&stage, 2);
	EXPECT_EQ(test_reap(pid), 0);
	EXPECT_EQ(value, 77);
	return test_pass();
}
