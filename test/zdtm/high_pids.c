/* Process ids of six digits, where this kernel lets a pid namespace have them. */
#include "zdtmlib.h"

#include <linux/sched.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		test_skip("%s: %s", path, strerror(errno));
	close(fd);
}

int main(void)
{
	pid_t wanted = 123456, pid;
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&wanted, .set_tid_size = 1 };

	test_start();
	put("/proc/sys/kernel/pid_max", "400000");
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		test_skip("clone3 with a pid of %d: %s", wanted, strerror(errno));
	if (pid == 0) {
		child_wait();
		EXPECT_EQ(getpid(), 123456);
		_exit(0);
	}
	EXPECT_EQ(pid, 123456);
	test_wait();
	test_end_child(pid);
	return test_pass();
}
