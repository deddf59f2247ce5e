/*
 * A working directory in /proc: that of the process itself is kept. That of a thread, which comes into being after the
 * directory is needed, and that of a process that has ended are refused.
 */
#include "zdtmlib.h"

#include <pthread.h>

static pid_t tid;

static void sleeper(void)
{
	tid = (pid_t)syscall(SYS_gettid);
	thread_wait();
}

static void child(void *arg)
{
	(void)arg;
	child_wait();
}

static void enter(const char *format, pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), format, (int)pid);
	MUST(chdir(path));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "own";
	pthread_t thread = 0;
	pid_t pid;

	test_start();
	if (!strcmp(what, "thread")) {
		thread = test_thread(sleeper);
		enter("/proc/self/task/%d", tid);
	} else if (!strcmp(what, "ended")) {
		pid = test_fork(child, NULL);
		enter("/proc/%d", pid);
		test_end_child(pid);
	} else {
		enter("/proc/%d/task", getpid());
	}
	test_wait();
	if (strcmp(what, "ended") != 0)
		MUST(access(".", F_OK));
	if (thread)
		test_end_thread(thread);
	return test_pass();
}
