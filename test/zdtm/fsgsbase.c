/* The bases of fs and gs, by system call and by instruction where the kernel allows it, and a descriptor in the
 * LDT-free case. */
#include "zdtmlib.h"

#include <asm/prctl.h>
#include <sys/auxv.h>

static uint64_t area[4] = { 0x1111, 0x2222, 0x3333, 0x4444 };
static __thread uint64_t local = 0x7777;

static uint64_t get_base(int what)
{
	uint64_t base = 0;

	MUST(syscall(SYS_arch_prctl, what, &base));
	return base;
}

int main(void)
{
	uint64_t fs, value;

	test_start();
	fs = get_base(ARCH_GET_FS);
	MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, &area[1]));
	test_wait();
	EXPECT_EQ(get_base(ARCH_GET_FS), fs);
	EXPECT_EQ(get_base(ARCH_GET_GS), (uintptr_t)&area[1]);
	__asm__ volatile("movq %%gs:8, %0" : "=r"(value));
	EXPECT_EQ(value, 0x3333);
	EXPECT_EQ(local, 0x7777);
	if (getauxval(AT_HWCAP2) & 2) {
		__asm__ volatile("rdgsbase %0" : "=r"(value));
		EXPECT_EQ(value, (uintptr_t)&area[1]);
	}
	return test_pass();
}
