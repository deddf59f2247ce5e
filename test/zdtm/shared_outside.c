/*
 * A process that is not of the tree and has the same memory, directories ("directory") or descriptor table ("table"):
 * refused. It goes on working with them meanwhile.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

#define STACK_BYTES 65536

static volatile int *shared; /* rounds it has made, and whether to end */

static int work_beside(void *arg)
{
	(void)arg;
	while (!shared[1]) {
		shared[0]++;
		usleep(1000);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "memory";
	const int flag = !strcmp(what, "table") ? CLONE_FILES : !strcmp(what, "directory") ? CLONE_FS : CLONE_VM;
	char *stack;
	pid_t pid;

	test_start();
	shared = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	stack = MUST(mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	pid = MUST(clone(work_beside, stack + STACK_BYTES, flag | CLONE_PARENT | SIGCHLD, NULL));
	while (!shared[0])
		usleep(1000);
	test_wait();
	EXPECT(kill(pid, 0) == 0);
	shared[0] = 0;
	while (!shared[0])
		usleep(1000);
	shared[1] = 1;
	return test_pass();
}
