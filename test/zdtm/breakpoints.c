/*
 * Breakpoints that a debugger has left behind: a watchpoint in the debug registers of a process and of a second thread
 * of it, and a trap instruction in the text. They go off after the restore as before.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>

/* Enabled locally, when 8 bytes are written. */
#define WATCH_WRITES_OF_8 (1ul << 0 | 1ul << 16 | 2ul << 18)

static volatile long watched[2] __attribute__((aligned(8)));
static volatile int traps[2], instructions, stage;
static volatile int *told;
static __thread int own;

static void trapped(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code == TRAP_HWBKPT)
		traps[own]++;
	else
		instructions++;
}

static void __attribute__((noinline)) marked(void)
{
	__asm__ volatile("nop");
}

static void mark(void)
{
	int fd = MUST(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	unsigned char *code = (unsigned char *)marked;
	size_t nop = 0;

	while (code[nop] != 0x90)
		nop++;
	EXPECT_EQ(pwrite(fd, "\xcc", 1, (off_t)(code + nop)), 1);
	close(fd);
}

static void check_watch(int number, int expected)
{
	own = number;
	watched[number]++;
	EXPECT_EQ(traps[number], expected);
	(void)watched[number];
	watched[1 - number] = 0;
	EXPECT_EQ(traps[number], expected);
}

static void *second(void *arg)
{
	test_await(told, 1);
	if (*told > 1)
		return arg;
	check_watch(1, 1);
	test_post(&stage, 1);
	test_await(told, 2);
	check_watch(1, 2);
	return arg;
}

static void debugged(void *arg)
{
	struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO };
	pthread_t thread;

	MUST(sigaction(SIGTRAP, &action, NULL));
	mark();
	EXPECT_EQ(pthread_create(&thread, NULL, second, arg), 0);
	child_ready();
	test_await(told, 1);
	check_watch(0, 1);
	test_await(&stage, 1);
	marked();
	EXPECT_EQ(instructions, 1);
	test_post(told + 1, 1);
	test_await(told, 2);
	check_watch(0, 2);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	marked();
	EXPECT_EQ(instructions, 2);
}

static void poke(pid_t tid, size_t number, unsigned long value)
{
	if (ptrace(PTRACE_POKEUSER, tid, offsetof(struct user, u_debugreg) + number * sizeof(long), value) < 0)
		test_skip("debug registers cannot be set: %s", strerror(errno));
}

static void watch(pid_t tid, int number)
{
	int status;

	MUST(ptrace(PTRACE_SEIZE, tid, NULL, NULL));
	MUST(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL));
	EXPECT_EQ(waitpid(tid, &status, __WALL), tid);
	poke(tid, 2, (unsigned long)&watched[number]);
	poke(tid, 7, (1ul << 4) | (WATCH_WRITES_OF_8 & ~1ul) << 8);
	MUST(ptrace(PTRACE_DETACH, tid, NULL, NULL));
}

int main(void)
{
	pid_t pid;

	test_start();
	told = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid = test_fork(debugged, NULL);
	watch(pid, 0);
	watch(pid + 1, 1);
	test_post(told, 1);
	test_await(told + 1, 1);
	test_wait();
	test_post(told, 2);
	EXPECT_EQ(test_reap(pid), 0);
	return test_pass();
}
