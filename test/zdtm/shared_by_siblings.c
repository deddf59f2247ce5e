/*
 * Two children of one parent of which one has made the other, and that share memory (argument "vm"), directories ("fs")
 * or their I/O context ("io"): refused by name.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

static volatile int *stage;

static int wait_forever(void *arg)
{
	for (;;)
		(void)pause();
	return 0;
}

static void child(void *arg)
{
	static char stack[65536] __attribute__((aligned(16)));

	stage[1] = MUST(clone(wait_forever, stack + sizeof(stack), (int)(long)arg | CLONE_PARENT | SIGCHLD, NULL));
	child_wait();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "vm";
	const unsigned long flags = !strcmp(what, "vm") ? CLONE_VM : !strcmp(what, "fs") ? CLONE_FS : CLONE_IO;
	pid_t pid;

	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	if (flags == CLONE_IO)
		MUST(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6));
	pid = test_fork(child, (void *)flags);
	test_wait();
	if (flags == CLONE_IO)
		EXPECT_EQ(syscall(SYS_kcmp, pid, stage[1], 5, 0, 0), 0);
	else
		EXPECT_EQ(syscall(SYS_kcmp, pid, stage[1], flags == CLONE_VM ? 1 : 3, 0, 0), 0);
	EXPECT_EQ(waitpid(stage[1], NULL, WNOHANG), 0);
	MUST(kill(stage[1], SIGKILL));
	EXPECT_EQ(test_reap(stage[1]), SIGKILL);
	test_end_child(pid);
	return test_pass();
}
