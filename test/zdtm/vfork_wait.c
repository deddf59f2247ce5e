/* A process that waits for its child of vfork(): refused, without standing still for long. */
#include "zdtmlib.h"

#include <sys/mman.h>

static volatile int *stage;

int main(void)
{
	pid_t parent, pid;
	int status;

	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	parent = MUST(fork());
	if (parent == 0) {
		pid = vfork();
		if (pid == 0) {
			test_post(stage, 1);
			test_await(stage, 2);
			_exit(5);
		}
		EXPECT_EQ(test_reap(pid), 5 << 8);
		_exit(0);
	}
	test_await(stage, 1);
	test_wait();
	test_post(stage, 2);
	status = test_reap(parent);
	EXPECT_EQ(status, 0);
	return test_pass();
}
