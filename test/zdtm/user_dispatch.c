/*
 * A thread that catches its own system calls, except for those of one range of code: before and after, with the byte
 * that switches it saying both. The process's first thread does so while it waits, a second one while it computes.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define ALLOW 0
#define BLOCK 1

struct catcher {
	volatile char selector;
	volatile int caught;
};

static __thread struct catcher own;

/* Two places that ask for the number of the parent; calls of the code from `range` to `range_end` are never caught. */
long ask_inside(void);
long ask_behind(void);
extern const char range[], range_end[];

__asm__(".text\n"
	"range:\n"
	"ask_inside:\n"
	"	movl $110, %eax\n" /* getppid */
	"	syscall\n"
	"	ret\n"
	"range_end:\n"
	"ask_behind:\n"
	"	movl $110, %eax\n"
	"	syscall\n"
	"	ret\n");
static volatile int ready, go, done;

/* Returning from a handler is a system call, too. */
static void catch_call(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	own.selector = ALLOW;
	own.caught += info->si_syscall == SYS_getppid;
}

static void check_catching(int expected)
{
	own.caught = 0;
	own.selector = expected ? BLOCK : ALLOW;
	(void)syscall(SYS_getppid);
	own.selector = ALLOW;
	EXPECT_EQ(own.caught, expected);
	own.caught = 0;
	own.selector = expected ? BLOCK : ALLOW;
	(void)ask_behind();
	own.selector = ALLOW;
	EXPECT_EQ(own.caught, expected);
	own.caught = 0;
	own.selector = expected ? BLOCK : ALLOW;
	(void)ask_inside();
	own.selector = ALLOW;
	EXPECT_EQ(own.caught, 0);
}

static void start_catching(void)
{
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, range, range_end - range, &own.selector) < 0)
		test_skip("PR_SET_SYSCALL_USER_DISPATCH: %s", strerror(errno));
	check_catching(1);
	check_catching(0);
}

static void *compute(void *arg)
{
	start_catching();
	ready = 1;
	own.selector = BLOCK;
	while (!go)
		;
	own.selector = ALLOW;
	check_catching(1);
	check_catching(0);
	done = 1;
	return arg;
}

static void *idle(void *arg)
{
	test_await(&go, 1);
	return arg;
}

/* In a process with many threads hardly any of them is looked at. */
static void start_idle_threads(pthread_t *threads, size_t count)
{
	for (size_t i = 0; i < count; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, idle, NULL), 0);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = catch_call, .sa_flags = SA_SIGINFO };
	pthread_t thread, idle_threads[30];
	size_t idle_count = argc > 1 && strcmp(argv[1], "many") == 0 ? 30 : 0;

	test_start();
	start_idle_threads(idle_threads, idle_count);
	MUST(sigaction(SIGSYS, &action, NULL));
	EXPECT_EQ(pthread_create(&thread, NULL, compute, NULL), 0);
	start_catching();
	while (!ready)
		usleep(1000);
	test_wait();
	check_catching(1);
	check_catching(0);
	test_post(&go, 1);
	for (size_t i = 0; i < idle_count; i++)
		EXPECT_EQ(pthread_join(idle_threads[i], NULL), 0);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(done, 1);
	return test_pass();
}
