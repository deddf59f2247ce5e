/*
 * Several processes that wait for their children of vfork, which sleep: each comes out of its call with its own child's
 * pid. With "nested" one of these children waits for another one in turn, which is refused.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

enum { PAIRS = 3, STACK_BYTES = 65536, CODE = 5 };

static volatile int *asleep, *go; /* of all */
static volatile int ended;        /* of each pair */

static int sleep_in_vfork(void *unused)
{
	(void)unused;
	(void)__atomic_add_fetch(asleep, 1, __ATOMIC_SEQ_CST);
	test_post(asleep, *asleep);
	test_await(go, 1);
	ended++;
	_exit(CODE);
}

static pid_t make_child(int (*act)(void *))
{
	char *stack = MUST(mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	return MUST(clone(act, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL));
}

static int wait_in_turn(void *unused)
{
	(void)unused;
	_exit(test_reap(make_child(sleep_in_vfork)) == CODE << 8 ? CODE : 1);
}

static pid_t start_parent(int (*act)(void *))
{
	pid_t pid = MUST(fork());

	if (pid)
		return pid;
	EXPECT_EQ(test_reap(make_child(act)), CODE << 8);
	EXPECT_EQ(ended, 1);
	_exit(0);
}

int main(int argc, char **argv)
{
	const bool is_nested = argc > 1 && !strcmp(argv[1], "nested");
	const int count = is_nested ? 1 : PAIRS;
	pid_t parents[PAIRS];

	test_start();
	asleep = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	go = asleep + 1;
	for (int i = 0; i < count; i++)
		parents[i] = start_parent(is_nested ? wait_in_turn : sleep_in_vfork);
	test_await(asleep, count);
	test_wait();
	test_post(go, 1);
	for (int i = 0; i < count; i++)
		EXPECT_EQ(test_reap(parents[i]), 0);
	return test_pass();
}
