/*
 * Registers that hardly any program has so, in a loop in user space. "stack": the stack pointer holds something else
 * than an address. What the kernel lets nobody set from outside, and a dump has to refuse before it touches the thread:
 * "base", a segment base in the kernel's half, and "segment", a stack segment of the process's own table.
 */
#include "zdtmlib.h"

#include <asm/ldt.h>
#include <sys/auxv.h>

#define ODD_STACK 0xdeadbeefcafebabeul
#define ODD_BASE  0xffff888012345678ul
#define OWN_STACK 0x17 /* entry 2 of the own table */
#define HAS_BASES 2    /* HWCAP2_FSGSBASE */

static volatile uint32_t stop;

/* On a stack of its own: the interrupted loop may have none. */
static void on_stop(int signo)
{
	(void)signo;
	stop = 1;
}

static void spin_without_stack(void)
{
	uint64_t found;

	__asm__ volatile("movq %%rsp, %%rbx\n\t"
			 "movq %[odd], %%rsp\n"
			 "1: cmpl $0, %[stop]\n\t"
			 "je 1b\n\t"
			 "movq %%rsp, %[found]\n\t"
			 "movq %%rbx, %%rsp"
			 : [found] "=&r"(found)
			 : [odd] "r"(ODD_STACK), [stop] "m"(stop)
			 : "rbx", "memory", "cc");
	EXPECT_EQ(found, ODD_STACK);
}

static void spin_with_base(void)
{
	uint64_t found;

	if (!(getauxval(AT_HWCAP2) & HAS_BASES))
		test_skip("programs cannot set segment bases here");
	__asm__ volatile("wrgsbase %0" : : "r"(ODD_BASE));
	while (!stop)
		;
	__asm__ volatile("rdgsbase %0" : "=r"(found));
	EXPECT_EQ(found, ODD_BASE);
}

static void spin_with_segment(void)
{
	struct user_desc segment = {
		.entry_number = OWN_STACK >> 3, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1
	};
	uint64_t found = 0;

	MUST(syscall(SYS_modify_ldt, 1, &segment, sizeof(segment)));
	__asm__ volatile("movw %w[odd], %%ss\n"
			 "1: cmpl $0, %[stop]\n\t"
			 "je 1b\n\t"
			 "movw %%ss, %w[found]"
			 : [found] "+r"(found)
			 : [odd] "r"(OWN_STACK), [stop] "m"(stop)
			 : "memory", "cc");
	EXPECT_EQ(found, OWN_STACK);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_stop, .sa_flags = SA_ONSTACK };
	const stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
	const char *kind = argc > 1 ? argv[1] : "";

	MUST(sigaltstack(&stack, NULL));
	MUST(sigaction(SIGTERM, &action, NULL));
	test_ready();
	if (strcmp(kind, "stack") == 0)
		spin_without_stack();
	else if (strcmp(kind, "base") == 0)
		spin_with_base();
	else
		spin_with_segment();
	return test_pass();
}
