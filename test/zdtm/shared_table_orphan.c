/*
 * A descriptor table (CLONE_FILES) of two processes whose parent does not use it: the younger one was handed over to
 * that parent when its own had ended. With "apart" the parent lives and has a table of its own by now: refused.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#define NUMBER 77

static volatile int *stage;
static bool is_apart;

static pid_t clone_files(void)
{
	return MUST(syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL));
}

static _Noreturn void be_youngest(void)
{
	test_post(stage, 1);
	test_await(&stage[1], 1);
	EXPECT_EQ(fcntl(NUMBER, F_GETFD), is_apart ? 0 : FD_CLOEXEC);
	if (!is_apart)
		close(NUMBER);
	test_post(stage, 2);
	_exit(0);
}

static void older(void *arg)
{
	pid_t middle = clone_files();

	(void)arg;
	if (middle == 0) {
		if (clone_files() == 0)
			be_youngest();
		if (!is_apart)
			_exit(0);
		MUST(unshare(CLONE_FILES));
		test_await(stage, 2);
		_exit(0);
	}
	test_await(stage, 1);
	if (!is_apart)
		EXPECT_EQ(test_reap(middle), 0);
	child_wait();
	EXPECT_EQ(dup3(0, NUMBER, is_apart ? 0 : O_CLOEXEC), NUMBER);
	test_post(&stage[1], 1);
	test_await(stage, 2);
	if (!is_apart)
		EXPECT_EQ(fcntl(NUMBER, F_GETFD), -1);
}

int main(int argc, char **argv)
{
	pid_t pid;

	is_apart = argc > 1;
	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = test_fork(older, NULL);
	test_wait();
	EXPECT_EQ(fcntl(NUMBER, F_GETFD), -1);
	test_end_child(pid);
	if (!is_apart)
		MUST(wait(NULL));
	return test_pass();
}
