/*
 * I/O contexts: a process, its child and a thread have one of their own each, with the same priority or with none
 * ("own"). One that was made with CLONE_IO shares its maker's, also while no priority is set: refused, of a "thread", a
 * "process", and of a thread among "many".
 */
#include "zdtmlib.h"

#include <sys/mman.h>

#define MANY     20
#define PRIORITY (2 << 13 | 6)
#define THREAD   (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static pid_t own_tid, other_tid;

static int wait_forever(void *arg)
{
	(void)arg;
	for (;;)
		(void)syscall(SYS_pause);
	return 0;
}

static void set_priority(int priority)
{
	MUST(syscall(SYS_ioprio_set, 1, 0, priority));
}

static int get_priority(pid_t tid)
{
	return MUST(syscall(SYS_ioprio_get, 1, tid));
}

static bool has_same_context(pid_t one, pid_t other)
{
	return MUST(syscall(SYS_kcmp, one, other, 5, 0, 0)) == 0;
}

static pid_t start(int flags)
{
	static char stacks[MANY + 1][65536] __attribute__((aligned(16)));
	static int count;

	count++;
	return MUST(clone(wait_forever, stacks[count - 1] + sizeof(stacks[0]), flags, NULL));
}

static void act(void)
{
	own_tid = gettid();
	set_priority(PRIORITY);
	set_priority(0);
	thread_wait();
	EXPECT_EQ(get_priority(0), 0);
	set_priority(PRIORITY + 1);
}

static void child(void *arg)
{
	(void)arg;
	set_priority(PRIORITY);
	child_wait();
	EXPECT_EQ(get_priority(0), PRIORITY);
	set_priority(0);
}

static void check_shared(void)
{
	test_wait();
	EXPECT(has_same_context(getpid(), other_tid));
	EXPECT_EQ(get_priority(other_tid), 0);
	set_priority(PRIORITY + 1);
	EXPECT_EQ(get_priority(other_tid), PRIORITY + 1);
}

static void check_own(void)
{
	pthread_t thread;
	pid_t pid;

	set_priority(PRIORITY);
	pid = test_fork(child, NULL);
	thread = test_thread(act);
	test_wait();
	EXPECT(!has_same_context(getpid(), pid));
	EXPECT(!has_same_context(getpid(), own_tid));
	test_end_child(pid);
	test_end_thread(thread);
	EXPECT_EQ(get_priority(0), PRIORITY);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "own";
	const bool is_shared = strcmp(what, "own") != 0;

	test_start();
	if (is_shared) {
		/* What is left of a priority is a context without one. */
		set_priority(PRIORITY);
		set_priority(0);
	}
	for (int i = 0; !strcmp(what, "many") && i < MANY; i++)
		(void)start(THREAD);
	other_tid = is_shared ? start(CLONE_IO | (strcmp(what, "process") ? THREAD : SIGCHLD)) : 0;
	if (is_shared)
		check_shared();
	else
		check_own();
	if (!strcmp(what, "process")) {
		MUST(kill(other_tid, SIGKILL));
		EXPECT_EQ(test_reap(other_tid), SIGKILL);
	}
	return test_pass();
}
