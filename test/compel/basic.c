/* Threads whose every register is checked, many threads, threads that come and go, small and foreign stacks. */
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int cycle_and_compare(const struct target *target, int turns)
{
	struct cycle cycle = { .seize_flags = COMPEL_SEIZE_SUSPEND_SECCOMP };
	struct compel_error err;
	struct snapshot before;
	const char *differs = NULL;
	int r = 0;

	snapshot_take(target->pid, &before);
	for (int i = 0; r == 0 && !differs && i < turns; i++) {
		r = run_cycle(target, &cycle, &err);
		if (r == 0)
			differs = snapshot_differs(&before, target->pid);
	}
	snapshot_done(&before);
	if (r < 0)
		return test_fail("cycle: %s", err.text);
	if (differs)
		return test_fail("%s", differs);
	if (target->shared->failure[0])
		return test_fail("target: %s", (const char *)target->shared->failure);
	return 0;
}

/* All of the target's threads must have moved on. */
static int check_ticking(const struct target *target, int threads)
{
	uint64_t before[MAX_THREADS], deadline = now_ns() + PATIENCE_NS;

	for (int i = 0; i < threads; i++)
		before[i] = target->shared->ticks[i];
	for (int i = 0; i < threads; i++)
		while (target->shared->ticks[i] == before[i]) {
			sleep_ms(1);
			if (now_ns() > deadline)
				return test_fail("thread %d does not run on", i);
		}
	return 0;
}

/* --- registers ---------------------------------------------------------------------------------------------------- */

/*
 * General registers, red zone, flags, x87 and AVX-512 registers hold patterns; the loop compares and counts until told
 * to stop. Returns 0, or the number of the register that was found wrong.
 */
long check_registers(volatile uint64_t *ticks, volatile int *stop, const void *patterns);
asm(".text\n"
    ".globl check_registers\n"
    "check_registers:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "	vmovdqu64 \\n*64(%rdx), %zmm\\n\n"
    "	.endr\n"
    "	mov $0x5a5a5a5a, %eax\n"
    "	kmovw %eax, %k2\n"
    "	fldpi\n"
    "	fldl2e\n"
    "	movq $0x1f2e3d4c, -8(%rsp)\n"
    "	movq $0x5b6a7988, -128(%rsp)\n"
    "	mov $0x1111111111111111, %rbx\n"
    "	mov $0x2222222222222222, %rcx\n"
    "	mov $0x3333333333333333, %rbp\n"
    "	mov $0x4444444444444444, %r8\n"
    "	mov $0x5555555555555555, %r9\n"
    "	mov $0x6666666666666666, %r10\n"
    "	mov $0x7777777777777777, %r11\n"
    "	mov $0x8888888888888888, %r12\n"
    "	mov $0x9999999999999999, %r13\n"
    "	mov $0xaaaaaaaaaaaaaaaa, %r14\n"
    "	mov $0xbbbbbbbbbbbbbbbb, %r15\n"
    "1:	.macro check_general reg, value, number\n"
    "	mov $\\value, %rax\n"
    "	cmp %rax, %\\reg\n"
    "	mov $\\number, %eax\n"
    "	jne 9f\n"
    "	.endm\n"
    "	check_general rbx, 0x1111111111111111, 1\n"
    "	check_general rcx, 0x2222222222222222, 2\n"
    "	check_general rbp, 0x3333333333333333, 3\n"
    "	check_general r8, 0x4444444444444444, 4\n"
    "	check_general r9, 0x5555555555555555, 5\n"
    "	check_general r10, 0x6666666666666666, 6\n"
    "	check_general r11, 0x7777777777777777, 7\n"
    "	check_general r12, 0x8888888888888888, 8\n"
    "	check_general r13, 0x9999999999999999, 9\n"
    "	check_general r14, 0xaaaaaaaaaaaaaaaa, 10\n"
    "	check_general r15, 0xbbbbbbbbbbbbbbbb, 11\n"
    "	cmpq $0x1f2e3d4c, -8(%rsp)\n"
    "	mov $20, %eax\n"
    "	jne 9f\n"
    "	cmpq $0x5b6a7988, -128(%rsp)\n"
    "	mov $21, %eax\n"
    "	jne 9f\n"
    "	kmovw %k2, %eax\n"
    "	cmp $0x5a5a, %eax\n"
    "	mov $22, %eax\n"
    "	jne 9f\n"
    "	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "	vpcmpud $4, \\n*64(%rdx), %zmm\\n, %k1\n"
    "	kortestw %k1, %k1\n"
    "	mov $100+\\n, %eax\n"
    "	jne 9f\n"
    "	.endr\n"
    "	lock incq (%rdi)\n"
    "	cmpl $0, (%rsi)\n"
    "	je 1b\n"
    "	fldl2e\n"
    "	fcomip\n"
    "	mov $30, %eax\n"
    "	jne 9f\n"
    "	fstp %st(0)\n"
    "	fldpi\n"
    "	fcomip\n"
    "	mov $31, %eax\n"
    "	jne 9f\n"
    "	xor %eax, %eax\n"
    "9:	fninit\n"
    "	vzeroall\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n");

static void registers_target(struct shared *shared)
{
	uint32_t patterns[32 * 16];
	long wrong;

	for (uint32_t i = 0; i < 32 * 16; i++)
		patterns[i] = i * 0x9e3779b9;
	shared->ready = 1;
	wrong = check_registers(&shared->ticks[0], &shared->stop, patterns);
	if (wrong)
		target_fail(shared, "register %ld has changed", wrong);
	shared->done = 1;
	for (;;)
		(void)usleep(1000000);
}

static int test_registers(void)
{
	struct target target;
	int failed;

	if (!__builtin_cpu_supports("avx512f"))
		return SKIP;
	target = target_start(registers_target, 1);
	failed = cycle_and_compare(&target, 50);
	if (!failed)
		failed = check_ticking(&target, 1);
	target.shared->stop = 1;
	for (int i = 0; !failed && !target.shared->done; i++) {
		sleep_ms(1);
		if (i == 1000)
			failed = test_fail("the loop does not end");
	}
	if (target.shared->failure[0])
		failed = test_fail("%s", (const char *)target.shared->failure);
	target_kill(&target);
	return failed;
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

static struct shared *threads_shared;

static void *tick(void *arg)
{
	size_t i = (size_t)arg;

	(void)__atomic_add_fetch(&threads_shared->ready, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		threads_shared->ticks[i]++;
		if (usleep(2000) < 0)
			target_fail(threads_shared, "usleep: %s", strerror(errno));
	}
	return NULL;
}

static void start_threads(struct shared *shared, size_t count)
{
	pthread_attr_t attr;
	pthread_t thread;

	threads_shared = shared;
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 65536);
	for (size_t i = 1; i < count; i++)
		if (pthread_create(&thread, &attr, tick, (void *)i) != 0)
			target_fail(shared, "pthread_create");
	(void)tick(NULL);
}

static void eight_target(struct shared *shared)
{
	start_threads(shared, 8);
}

static void many_target(struct shared *shared)
{
	start_threads(shared, 200);
}

static int run_threads(target_function *function, int count, int turns)
{
	struct target target = target_start(function, count);
	int failed = cycle_and_compare(&target, turns);

	if (!failed)
		failed = check_ticking(&target, count);
	target_kill(&target);
	return failed;
}

static int test_eight(void)
{
	return run_threads(eight_target, 8, 20);
}

static int test_many(void)
{
	return run_threads(many_target, 200, 3);
}

static void *end_at_once(void *arg)
{
	threads_shared->ticks[1]++;
	return NULL;
}

static void *churn(void *arg)
{
	(void)__atomic_add_fetch(&threads_shared->ready, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, end_at_once, NULL) == 0)
			(void)pthread_join(thread, NULL);
		threads_shared->ticks[0]++;
	}
	return NULL;
}

static void churn_target(struct shared *shared)
{
	pthread_t thread;

	threads_shared = shared;
	for (int i = 0; i < 3; i++)
		(void)pthread_create(&thread, NULL, churn, NULL);
	(void)churn(NULL);
}

static int test_churn(void)
{
	struct target target = target_start(churn_target, 4);
	struct cycle cycle = { 0 };
	struct compel_error err;
	int failed = 0;

	for (int i = 0; !failed && i < 60; i++)
		if (run_cycle(&target, &cycle, &err) < 0)
			failed = test_fail("%s", err.text);
	if (!failed)
		failed = check_ticking(&target, 2);
	target_kill(&target);
	return failed;
}

/* --- stacks ------------------------------------------------------------------------------------------------------- */

/* Counts with the stack pointer 64 bytes above a guard page. */
static void tiny_stack_target(struct shared *shared)
{
	char *stack = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)mprotect(stack, 4096, PROT_NONE);
	shared->ready = 1;
	asm volatile("	mov %0, %%rsp\n"
		     "1:	lock incq (%1)\n"
		     "	jmp 1b\n"
		     :
		     : "r"(stack + 4096 + 64), "r"(&shared->ticks[0])
		     : "memory");
}

static void count_in_handler(int signal)
{
	threads_shared->ready = 1;
	for (;;)
		threads_shared->ticks[0]++;
}

static void alternate_stack_target(struct shared *shared)
{
	struct sigaction action = { .sa_handler = count_in_handler, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };

	threads_shared = shared;
	(void)sigaltstack(&stack, NULL);
	(void)sigaction(SIGUSR1, &action, NULL);
	(void)raise(SIGUSR1);
}

static void blocked_target(struct shared *shared)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	start_threads(shared, 2);
}

static int test_tiny_stack(void)
{
	return run_threads(tiny_stack_target, 1, 20);
}

static int test_alternate_stack(void)
{
	return run_threads(alternate_stack_target, 1, 20);
}

static int test_blocked(void)
{
	return run_threads(blocked_target, 2, 20);
}

const struct test basic_tests[] = {
	{ "basic: all registers are kept", test_registers },
	{ "basic: 8 threads", test_eight },
	{ "basic: 200 threads", test_many },
	{ "basic: threads that come and go", test_churn },
	{ "basic: the stack pointer at the end of its stack", test_tiny_stack },
	{ "basic: in a handler on an alternate stack", test_alternate_stack },
	{ "basic: all signals blocked", test_blocked },
	{ 0 },
};
