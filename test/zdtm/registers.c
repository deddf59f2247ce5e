/*
 * All registers of a loop in user space: general ones, flags, x87 with a control word and an unfinished stack, MXCSR,
 * SSE and AVX. The loop ends without touching flags or registers other than rcx; the interruption may come anywhere.
 * "threads": ten threads with registers of their own.
 */
#include "zdtmlib.h"

#include <pthread.h>

enum { THREADS = 10 };
enum { GPRS = 13 }; /* rax rbx rdx rsi rbp r8..r15: rdi is the block's address, rcx the loop's */

static struct block {
	uint64_t gpr_in[GPRS], gpr_out[GPRS];
	uint64_t flags_in, flags_out;
	uint8_t ymm_in[16][32], ymm_out[16][32];
	long double x87_in[5], x87_out[5];
	uint32_t mxcsr_in, mxcsr_out;
	uint16_t control_in, control_out, status_out;
} blocks[THREADS] __attribute__((aligned(64)));

static volatile uint64_t stop;
static volatile int ready;

static void on_stop(int signo)
{
	(void)signo;
	stop = 1;
}

/* clang-format off */
#define YMM(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD(n)  "vmovdqu %c[ymm_in]+32*" #n "(%%rdi), %%ymm" #n "\n\t"
#define STORE(n) "vmovdqu %%ymm" #n ", %c[ymm_out]+32*" #n "(%%rdi)\n\t"
#define GPR(op) op(0, rax) op(1, rbx) op(2, rdx) op(3, rsi) op(4, rbp) op(5, r8) op(6, r9) op(7, r10) op(8, r11) op(9, r12) \
		op(10, r13) op(11, r14) op(12, r15)
#define GET(n, reg) "movq %c[gpr_in]+8*" #n "(%%rdi), %%" #reg "\n\t"
#define PUT(n, reg) "movq %%" #reg ", %c[gpr_out]+8*" #n "(%%rdi)\n\t"
#define FLD(n)  "fldt %c[x87_in]+16*" #n "(%%rdi)\n\t"
#define FST(n)  "fstpt %c[x87_out]+16*" #n "(%%rdi)\n\t"
#define AT(member) [member] "i"(offsetof(struct block, member))

static void __attribute__((noinline)) spin(struct block *block)
{
	__asm__ volatile("pushq %%rbp\n\t"
			 "pushq %%rbx\n\t"
			 "fninit\n\t"
			 "fldcw %c[control_in](%%rdi)\n\t"
			 FLD(0) FLD(1) FLD(2) FLD(3) FLD(4)
			 "ldmxcsr %c[mxcsr_in](%%rdi)\n\t"
			 YMM(LOAD)
			 "pushq %c[flags_in](%%rdi)\n\t"
			 GPR(GET)
			 "popfq\n"
			 "1: movq stop(%%rip), %%rcx\n\t"
			 "jrcxz 1b\n\t"
			 "pushfq\n\t"
			 "popq %c[flags_out](%%rdi)\n\t"
			 "cld\n\t"
			 GPR(PUT)
			 YMM(STORE)
			 "stmxcsr %c[mxcsr_out](%%rdi)\n\t"
			 "fnstcw %c[control_out](%%rdi)\n\t"
			 "fnstsw %c[status_out](%%rdi)\n\t"
			 FST(4) FST(3) FST(2) FST(1) FST(0)
			 "fninit\n\t"
			 "vzeroupper\n\t"
			 "popq %%rbx\n\t"
			 "popq %%rbp\n\t"
			 :
			 : "D"(block), AT(gpr_in), AT(gpr_out), AT(flags_in), AT(flags_out), AT(ymm_in), AT(ymm_out), AT(x87_in),
			   AT(x87_out), AT(mxcsr_in), AT(mxcsr_out), AT(control_in), AT(control_out), AT(status_out)
			 : "memory", "cc", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
			   "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
			   "xmm12", "xmm13", "xmm14", "xmm15");
}
/* clang-format on */

static void fill(struct block *block, int number)
{
	test_pattern(block->gpr_in, sizeof(block->gpr_in), 2 * number + 1);
	test_pattern(block->ymm_in, sizeof(block->ymm_in), 2 * number + 2);
	for (int i = 0; i < 5; i++)
		block->x87_in[i] = 3.14159265358979323846L * (i + 1 + 7 * number);
	block->flags_in =
	    0x202 | 0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x400 | 0x800 | 0x200000; /* CF PF AF ZF SF DF OF ID */
	/* flush, truncate (every other one: to nearest), DAZ, PE IE */
	block->mxcsr_in = 0x1f80 | 0x8000 | (number % 2 ? 0 : 0x6000) | 0x40 | 0x21;
	/* truncate, single (every other one: double) precision, all masked */
	block->control_in = number % 2 ? 0x0e7f : 0x0c7f;
}

static void check(const struct block *block, int number)
{
	EXPECT_PATTERN(block->gpr_out, sizeof(block->gpr_out), 2 * number + 1);
	EXPECT_EQ(block->flags_out, block->flags_in);
	EXPECT_PATTERN(block->ymm_out, sizeof(block->ymm_out), 2 * number + 2);
	EXPECT_EQ(block->mxcsr_out, block->mxcsr_in);
	EXPECT_EQ(block->control_out, block->control_in);
	EXPECT_EQ((block->status_out >> 11) & 7, 3);
	for (int i = 0; i < 5; i++)
		EXPECT_MEM(&block->x87_out[i], &block->x87_in[i], 10);
}

static void *act(void *arg)
{
	const uint32_t default_mxcsr = 0x1f80;
	struct block *block = arg;

	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	spin(block);
	__asm__ volatile("ldmxcsr %0" : : "m"(default_mxcsr));
	return NULL;
}

int main(int argc, char **argv)
{
	const int count = argc > 1 && !strcmp(argv[1], "threads") ? THREADS : 1;
	struct sigaction action = { .sa_handler = on_stop };
	pthread_t threads[THREADS];
	sigset_t none;

	test_start();
	if (!__builtin_cpu_supports("avx"))
		test_skip("no AVX");
	for (int i = 0; i < count; i++)
		fill(&blocks[i], i);
	for (int i = 1; i < count; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, act, &blocks[i]), 0);
	while (ready < count - 1)
		usleep(1000);
	MUST(sigaction(SIGTERM, &action, NULL));
	sigemptyset(&none);
	MUST(sigprocmask(SIG_SETMASK, &none, NULL));
	test_ready();
	(void)act(&blocks[0]);
	for (int i = 1; i < count; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < count; i++)
		check(&blocks[i], i);
	return test_pass();
}
