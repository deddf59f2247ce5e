/* The AVX-512 part of the registers in a loop in user space: zmm0..31 and the masks k0..k7. */
#include "zdtmlib.h"

static struct {
	uint8_t zmm_in[32][64], zmm_out[32][64];
	uint64_t k_in[8], k_out[8];
} block __attribute__((aligned(64)));

static volatile uint64_t stop;

static void on_stop(int signo)
{
	(void)signo;
	stop = 1;
}

/* clang-format off */
#define EACH8(op, t) op(t##0) op(t##1) op(t##2) op(t##3) op(t##4) op(t##5) op(t##6) op(t##7)
#define ZMM(op) EACH8(op, ) op(8) op(9) EACH8(op, 1) op(18) op(19) EACH8(op, 2) op(28) op(29) op(30) op(31)
#define LOAD(n)   "vmovdqu64 64*" #n "(%0), %%zmm" #n "\n\t"
#define STORE(n)  "vmovdqu64 %%zmm" #n ", 64*" #n "(%1)\n\t"
#define KLOAD(n)  "kmovq 8*" #n "(%2), %%k" #n "\n\t"
#define KSTORE(n) "kmovq %%k" #n ", 8*" #n "(%3)\n\t"

static void __attribute__((noinline)) spin(void)
{
	__asm__ volatile(ZMM(LOAD) EACH8(KLOAD, )
			 "1: movq stop(%%rip), %%rcx\n\t"
			 "jrcxz 1b\n\t"
			 ZMM(STORE) EACH8(KSTORE, )
			 "vzeroupper\n\t"
			 :
			 : "r"(block.zmm_in), "r"(block.zmm_out), "r"(block.k_in), "r"(block.k_out)
			 : "memory", "rcx", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
			   "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}
/* clang-format on */

int main(void)
{
	struct sigaction action = { .sa_handler = on_stop };
	sigset_t none;

	test_start();
	if (!__builtin_cpu_supports("avx512bw"))
		test_skip("no AVX-512BW");
	test_pattern(block.zmm_in, sizeof(block.zmm_in), 3);
	test_pattern(block.k_in, sizeof(block.k_in), 4);
	MUST(sigaction(SIGTERM, &action, NULL));
	sigemptyset(&none);
	MUST(sigprocmask(SIG_SETMASK, &none, NULL));
	test_ready();
	spin();
	EXPECT_PATTERN(block.zmm_out, sizeof(block.zmm_out), 3);
	EXPECT_PATTERN(block.k_out, sizeof(block.k_out), 4);
	return test_pass();
}
