/*
 * A stopped process to which SIGSTOP was sent once more: that signal stays pending until SIGCONT takes both away.
 * Nothing can block it, not even what restores it. The process is stopped in a call, or by "running" outside of any.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

static volatile int *go;

static void waiting(void *arg)
{
	(void)arg;
	child_wait();
}

static void running(void *arg)
{
	(void)arg;
	child_ready();
	while (!*go)
		;
	child_wait();
}

static void check(pid_t pid)
{
	const char *status;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = test_slurp(path);
	EXPECT(strstr(status, "State:\tT (stopped)"));
	EXPECT_EQ(test_field(status, "ShdPnd", 16), 1 << (SIGSTOP - 1));
}

int main(int argc, char **argv)
{
	const bool is_running = argc > 1 && strcmp(argv[1], "running") == 0;
	pid_t pid;
	int status;

	test_start();
	go = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid = test_fork(is_running ? running : waiting, NULL);
	if (!is_running)
		test_until_asleep(pid, pid);
	MUST(kill(pid, SIGSTOP));
	MUST(waitpid(pid, &status, WUNTRACED));
	EXPECT(WIFSTOPPED(status));
	MUST(kill(pid, SIGSTOP));
	check(pid);
	test_wait();
	check(pid);
	MUST(kill(pid, SIGCONT));
	*go = 1;
	test_end_child(pid);
	return test_pass();
}
