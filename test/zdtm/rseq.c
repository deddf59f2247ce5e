/* Restartable sequences: the registration is still there, cpu_id is kept up to date, and a sequence interrupted starts
 * over. */
#include "zdtmlib.h"

#include <stddef.h>
#include <sys/auxv.h>

struct area {
	uint32_t cpu_id_start, cpu_id;
	uint64_t critical_section;
	uint32_t flags, node_id, mm_cid, padding;
} __attribute__((aligned(32)));

extern const ptrdiff_t __rseq_offset;
extern const unsigned int __rseq_size;

static volatile uint64_t stop;
static uint64_t aborts, loops;

struct section {
	uint32_t version, flags;
	uint64_t start, bytes, abort;
} __attribute__((aligned(32)));

static void on_stop(int signo)
{
	(void)signo;
	stop = 1;
}

/* One long sequence, so that a checkpoint all but surely falls inside it; an abort starts it again. */
static void run_sequences(struct area *area)
{
	static struct section section;

	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rax, 8(%[section])\n\t"
			 "leaq 2f(%%rip), %%rcx\n\t"
			 "subq %%rax, %%rcx\n\t"
			 "movq %%rcx, 16(%[section])\n\t"
			 "leaq 4f(%%rip), %%rax\n\t"
			 "movq %%rax, 24(%[section])\n"
			 "0: movq %[section], 8(%[area])\n"
			 "1: movl $1000000, %%ecx\n"
			 "5: decl %%ecx\n\t"
			 "jnz 5b\n\t"
			 "incq %[loops]\n"
			 "2: cmpq $0, stop(%%rip)\n\t"
			 "je 0b\n\t"
			 "jmp 3f\n\t"
			 ".byte 0x0f, 0xb9, 0x3d\n\t"
			 ".long 0x53053053\n"
			 "4: incq %[aborts]\n\t"
			 "jmp 2b\n"
			 "3:\n\t"
			 : [loops] "+m"(loops), [aborts] "+m"(aborts)
			 : [section] "r"(&section), [area] "r"(area)
			 : "rax", "rcx", "memory", "cc");
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_stop };
	struct area *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	sigset_t none;

	test_start();
	if (!__rseq_size)
		test_skip("the C library did not register rseq");
	MUST(sigaction(SIGTERM, &action, NULL));
	sigemptyset(&none);
	MUST(sigprocmask(SIG_SETMASK, &none, NULL));
	test_ready();
	run_sequences(area);
	/* On a machine with much to do none may have come to its end yet: one more each time. */
	for (int i = 0; i < 10000 && !loops; i++)
		run_sequences(area);
	EXPECT_EQ(area->cpu_id, sched_getcpu());
	EXPECT(aborts > 0);
	EXPECT(loops > 0);
	/* A second registration is refused only when the first is in place. */
	EXPECT_EQ(syscall(SYS_rseq, area, 32, 0, 0x53053053), -1);
	EXPECT(errno == EBUSY || errno == EINVAL);
	return test_pass();
}
