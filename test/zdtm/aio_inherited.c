/* A child has the rings of its parent's AIO contexts mapped, although the contexts are not its own. */
#include "zdtmlib.h"

#include <linux/aio_abi.h>

static void act(void *arg)
{
	child_wait();
}

int main(void)
{
	aio_context_t id = 0;
	pid_t child;

	test_start();
	MUST(syscall(SYS_io_setup, 10, &id));
	child = test_fork(act, NULL);
	test_wait();
	test_end_child(child);
	return test_pass();
}
