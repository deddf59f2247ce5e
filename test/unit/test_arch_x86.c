/* Registers, extended state, restarts and processor features: conversions both ways, and a live tracee. */
#include <asm/ldt.h>
#include <cpuid.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/debug-registers.h"
#include "arch/x86/ldt.h"
#include "arch/x86/cpuinfo.h"
#include "arch/x86/regs.h"
#include "arch/x86/syscall-restart.h"
#include "arch/x86/xstate.h"
#include "base/cleanup.h"
#include "kernel/missing-ptrace.h"

/* --- a child that sleeps in a system call, stopped by ptrace -------------------------------------------------------
 */

static bool is_asleep(pid_t pid)
{
	char path[64], text[256] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	(void)!fgets(text, sizeof(text), file);
	(void)fclose(file);
	return strstr(text, ") S ") != NULL;
}

static pid_t start_stopped(void (*sleeper)(void))
{
	const struct timespec settle = { .tv_nsec = 5000000 };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		sleeper();
		_exit(1);
	}
	assert_true(pid > 0);
	for (int i = 0; i < 12000 && !is_asleep(pid); i++)
		(void)nanosleep(&settle, NULL);
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void end_child(pid_t pid)
{
	int status;

	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		;
}

static void sleep_in_pause(void)
{
	/* Values to be found in the registers: ymm1 both halves, x87, and whatever glibc left in the rest. */
	double value = 3.25;

	if (xstate_enabled_components() & 4)
		__asm__ volatile("vbroadcastsd %0, %%ymm1" ::"m"(value));
	__asm__ volatile("fldl %0\n\tsyscall" ::"m"(value), "a"(SYS_pause) : "rcx", "r11", "memory");
}

static size_t read_xstate(pid_t pid, void *area)
{
	struct iovec piece = { .iov_base = area, .iov_len = xstate_bytes() };

	assert_int_equal(ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &piece), 0);
	return piece.iov_len;
}

static void test_xstate_live(void **state)
{
	AUTO_FREE char *before = aligned_alloc(64, (xstate_bytes() + 63) & ~63ul);
	AUTO_FREE char *built = aligned_alloc(64, (xstate_bytes() + 63) & ~63ul);
	AUTO_FREE char *after = aligned_alloc(64, (xstate_bytes() + 63) & ~63ul);
	pid_t pid = start_stopped(sleep_in_pause);
	struct error err = { 0 };
	UserX86FpregsEntry *fpregs = NULL;
	struct iovec piece;
	size_t bytes = read_xstate(pid, before);

	assert_int_equal(bytes, xstate_bytes());
	assert_int_equal(xstate_to_image(before, bytes, &fpregs, &err), 0);
	assert_int_equal(fpregs->n_st_space, 32);
	assert_int_equal(fpregs->n_xmm_space, 64);
	assert_int_equal(fpregs->st_space[1], 0xd0000000);
	assert_int_equal(fpregs->xmm_space[5], 0x400a0000);
	assert_non_null(fpregs->xsave);
	if (xstate_enabled_components() & 4) {
		assert_int_equal(fpregs->xsave->n_ymmh_space, 64);
		assert_int_equal(fpregs->xsave->ymmh_space[5], 0x400a0000);
	}
	assert_int_equal(xstate_from_image(fpregs, built, &err), 0);
	piece = (struct iovec){ .iov_base = built, .iov_len = xstate_bytes() };
	assert_int_equal(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &piece), 0);
	assert_int_equal(read_xstate(pid, after), bytes);
	assert_memory_equal(before, after, bytes);
	user_x86_fpregs_entry__free_unpacked(fpregs, NULL);
	end_child(pid);
}

static void fill_message(UserX86FpregsEntry *fpregs, UserX86XsaveEntry *xsave)
{
	static uint32_t words[64];

	user_x86_fpregs_entry__init(fpregs);
	user_x86_xsave_entry__init(xsave);
	fpregs->mxcsr = 0x1f80;
	fpregs->cwd = 0x37f;
	fpregs->st_space = fpregs->xmm_space = words;
	fpregs->n_st_space = 32;
	fpregs->n_xmm_space = 64;
	fpregs->xsave = xsave;
	xsave->xstate_bv = 3;
}

static void expect_refusal(const UserX86FpregsEntry *fpregs, const char *word)
{
	AUTO_FREE char *area = aligned_alloc(64, (xstate_bytes() + 63) & ~63ul);
	struct error err = { 0 };

	assert_true(xstate_from_image(fpregs, area, &err) < 0);
	assert_true(error_is_set(&err));
	assert_non_null(strstr(err.text, word));
}

static void test_xstate_refusals(void **state)
{
	AUTO_FREE char *area = aligned_alloc(64, (xstate_bytes() + 63) & ~63ul);
	uint64_t bounds[8] = { 0 };
	UserX86CetEntry cet;
	UserX86FpregsEntry fpregs;
	UserX86XsaveEntry xsave;
	struct error err = { 0 };

	fill_message(&fpregs, &xsave);
	assert_int_equal(xstate_from_image(&fpregs, area, &err), 0);
	fpregs.mxcsr = 0x80001f80;
	expect_refusal(&fpregs, "mxcsr");
	fill_message(&fpregs, &xsave);
	fpregs.n_xmm_space = 32;
	expect_refusal(&fpregs, "SSE");
	fill_message(&fpregs, &xsave);
	xsave.xstate_bv |= 1 << 18;
	expect_refusal(&fpregs, "AMX tile data");
	fill_message(&fpregs, &xsave);
	xsave.xstate_bv |= 1 << 2;
	expect_refusal(&fpregs, "AVX");
	xsave.ymmh_space = fpregs.xmm_space;
	xsave.n_ymmh_space = 63;
	expect_refusal(&fpregs, "63");
	fill_message(&fpregs, &xsave);
	user_x86_cet_entry__init(&cet);
	xsave.cet = &cet;
	assert_int_equal(xstate_from_image(&fpregs, area, &err), 0);
	cet.cet = 1;
	expect_refusal(&fpregs, "shadow stack");
	if (xstate_enabled_components() & (1 << 3))
		return;
	/* A component this processor lacks: fine while its state is the initial one, whatever the bit says. */
	fill_message(&fpregs, &xsave);
	xsave.bndreg_state = bounds;
	xsave.n_bndreg_state = 8;
	xsave.xstate_bv |= 1 << 3;
	assert_int_equal(xstate_from_image(&fpregs, area, &err), 0);
	bounds[2] = 1;
	expect_refusal(&fpregs, "MPX bounds registers");
	xsave.xstate_bv &= ~(1ull << 3);
	assert_int_equal(xstate_from_image(&fpregs, area, &err), 0);
}

/* Of the rights of protection keys what is there counts; the usual ones need no processor that has them. */
static void test_xstate_key_rights(void **state)
{
	AUTO_FREE char *area = aligned_alloc(64, (xstate_bytes() + 63) & ~63ul);
	uint32_t rights[2] = { 0x55555554 };
	const bool has_keys = xstate_has_protection_keys();
	UserX86FpregsEntry fpregs;
	UserX86XsaveEntry xsave;
	struct error err = { 0 };

	fill_message(&fpregs, &xsave);
	assert_int_equal(xstate_from_image(&fpregs, area, &err), 0);
	assert_int_equal(xstate_key_rights(area), has_keys ? 0x55555554 : 0);
	xsave.pkru = rights;
	xsave.n_pkru = 2;
	for (int i = 0; i < 2; i++) {
		xsave.xstate_bv = 3 | (uint64_t)i << 9;
		rights[0] = 0x55555554;
		assert_int_equal(xstate_from_image(&fpregs, area, &err), 0);
		assert_int_equal(xstate_key_rights(area), has_keys ? 0x55555554 : 0);
		rights[0] = 0x55555550;
		if (!has_keys) {
			expect_refusal(&fpregs, "protection keys");
			continue;
		}
		assert_int_equal(xstate_from_image(&fpregs, area, &err), 0);
		assert_int_equal(xstate_key_rights(area), 0x55555550);
		rights[0] = 0;
		assert_int_equal(xstate_from_image(&fpregs, area, &err), 0);
		assert_int_equal(xstate_key_rights(area), 0);
	}
}

/* Any process may use the configuration of tiles, whose bit is set on such a processor. */
static void test_xstate_requested(void **state)
{
	assert_int_equal(xstate_requested_components(0x2e7), 0);
	assert_int_equal(xstate_requested_components(0x202e7), 0);
	assert_int_equal(xstate_requested_components(0x602e7), 0x40000);
}

/* The set of a machine without XSAVE, and too few bytes. */
static void test_xstate_legacy(void **state)
{
	AUTO_FREE char *area = aligned_alloc(64, (xstate_bytes() + 63) & ~63ul);
	UserX86FpregsEntry *fpregs = NULL;
	struct error err = { 0 };

	memset(area, 0, xstate_bytes());
	area[24] = (char)0x80;
	area[25] = 0x1f;
	assert_int_equal(xstate_to_image(area, 512, &fpregs, &err), 0);
	assert_null(fpregs->xsave);
	assert_int_equal(fpregs->mxcsr, 0x1f80);
	assert_int_equal(xstate_from_image(fpregs, area, &err), 0);
	user_x86_fpregs_entry__free_unpacked(fpregs, NULL);
	assert_int_equal(xstate_to_image(area, 511, &fpregs, &err), -EINVAL);
	memset(&err, 0, sizeof(err));
	if (xstate_bytes() > 576) {
		area[512 + 2] = 4;
		assert_int_equal(xstate_to_image(area, xstate_bytes(), &fpregs, &err), -EOPNOTSUPP);
		assert_non_null(strstr(err.text, "AMX tile data"));
	}
}

/* --- general registers ---------------------------------------------------------------------------------------------
 */

/* The processor writes both forms of what it has; the kernel keeps the compacted one. */
static void test_xstate_from_kernel(void **state)
{
	const size_t bytes = (xstate_bytes() + 63) & ~63ul;
	const uint64_t components = xstate_enabled_components() & 0xe7;
	AUTO_FREE char *standard = aligned_alloc(64, bytes), *compacted = aligned_alloc(64, bytes);
	AUTO_FREE char *made = aligned_alloc(64, bytes);
	UserX86FpregsEntry *one = NULL, *other = NULL;
	struct error err = { 0 };
	unsigned a, b, c, d;

	(void)state;
	__cpuid_count(0xd, 1, a, b, c, d);
	if (!(a & 2) || !(components & 4))
		skip();
	memset(standard, 0, bytes);
	memset(compacted, 0, bytes);
	__asm__ volatile("vpcmpeqd %%ymm7, %%ymm7, %%ymm7\n\tpcmpeqd %%xmm3, %%xmm3\n\t"
			 "xsave64 (%0)\n\txsavec64 (%1)\n\tvzeroall"
			 :
			 : "r"(standard), "r"(compacted), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
			 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
			   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	assert_int_equal(xstate_from_kernel(compacted, bytes, 0, made), 0);
	assert_int_equal(xstate_to_image(standard, xstate_bytes(), &one, &err), 0);
	assert_int_equal(xstate_to_image(made, xstate_bytes(), &other, &err), 0);
	assert_memory_equal(one->xmm_space, other->xmm_space, 256);
	assert_memory_equal(one->xsave->ymmh_space, other->xsave->ymmh_space, 256);
	assert_true(one->xsave->ymmh_space[28] == ~0u && one->xmm_space[12] == ~0u);
	assert_int_equal(one->mxcsr, other->mxcsr);
	assert_int_equal(one->cwd, other->cwd);
	assert_int_equal(xstate_from_kernel(standard, bytes, 0, made), 0);
	assert_int_equal(xstate_from_kernel(compacted, 600, 0, made), -EBADMSG);
	assert_int_equal(xstate_from_kernel(compacted, 500, 0, made), -EBADMSG);
	user_x86_fpregs_entry__free_unpacked(one, NULL);
	user_x86_fpregs_entry__free_unpacked(other, NULL);
}

static void test_regs_live(void **state)
{
	pid_t pid = start_stopped(sleep_in_pause);
	struct user_regs_struct live, back;
	struct error err = { 0 };
	UserX86RegsEntry *entry = NULL;

	assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &live), 0);
	assert_true(regs_is_native(&live));
	assert_int_equal(regs_check(&live, &err), 0);
	assert_int_equal(regs_to_image(&live, &entry, &err), 0);
	assert_true(entry->ip == live.rip && entry->bx == live.rbx && entry->orig_ax == SYS_pause);
	assert_true(entry->has_mode && entry->mode == USER_X86_REGS_MODE__NATIVE);
	assert_int_equal(regs_from_image(entry, &back, &err), 0);
	assert_memory_equal(&live, &back, sizeof(live));
	entry->has_mode = 0;
	assert_int_equal(regs_from_image(entry, &back, &err), 0);
	entry->has_mode = 1;
	entry->mode = USER_X86_REGS_MODE__COMPAT;
	assert_int_equal(regs_from_image(entry, &back, &err), -EOPNOTSUPP);
	user_x86_regs_entry__free_unpacked(entry, NULL);
	live.cs = 0x23;
	assert_int_equal(regs_to_image(&live, &entry, &err), -EOPNOTSUPP);
	end_child(pid);
}

static struct user_regs_struct plausible_regs(void)
{
	return (struct user_regs_struct){ .cs = 0x33, .ss = 0x2b, .rip = 0x401000, .eflags = 0x246, .rsp = 0x7ffc0000 };
}

static void expect_bad(struct user_regs_struct regs, const char *name)
{
	struct error err = { 0 };

	assert_int_equal(regs_check(&regs, &err), -EINVAL);
	assert_non_null(strstr(err.text, name));
}

static void test_regs_refusals(void **state)
{
	struct user_regs_struct regs = plausible_regs();
	struct error err = { 0 };

	regs.gs = 12 << 3 | 3;
	regs.orig_rax = ~0ull;
	assert_int_equal(regs_check(&regs, &err), 0);
	regs = plausible_regs();
	regs.cs = 0x10;
	expect_bad(regs, " cs ");
	regs = plausible_regs();
	regs.ss = 0x18;
	expect_bad(regs, " ss ");
	regs = plausible_regs();
	regs.es = 2 << 3 | 7; /* of the process's own table */
	assert_int_equal(regs_check(&regs, &err), 0);
	regs.es = 2 << 3 | 4;
	expect_bad(regs, " es ");
	regs = plausible_regs();
	regs.fs = 2 << 3 | 3;
	expect_bad(regs, " fs ");
	regs = plausible_regs();
	regs.rip = 0xffffffff81000000;
	expect_bad(regs, " ip ");
	regs = plausible_regs();
	regs.fs_base = 1ull << 63;
	expect_bad(regs, " fs_base ");
	regs = plausible_regs();
	regs.rip = 1ull << 47;
	expect_bad(regs, " ip ");
	for (int bit = 0; bit < 64; bit++) {
		regs = plausible_regs();
		regs.eflags |= 1ull << bit;
		/* IOPL, VM, VIF, VIP, and what is reserved. */
		if (bit == 12 || bit == 13 || bit == 17 || bit == 19 || bit == 20 || bit > 21 || bit == 15)
			expect_bad(regs, " flags ");
	}
}

static void test_debug_registers(void **state)
{
	uint64_t values[DEBUG_REGISTER_COUNT] = { 0x1000, 0, 0, 0, 0x90001 };
	struct error err = { 0 };

	assert_int_equal(debug_registers_check(values, DEBUG_REGISTER_COUNT, &err), 0);
	assert_int_equal(debug_registers_check(values, 4, &err), -EINVAL);
	values[4] |= 1 << 13; /* general detect */
	assert_int_equal(debug_registers_check(values, DEBUG_REGISTER_COUNT, &err), -EINVAL);
	values[4] = 0x90001;
	values[2] = 0xffffffff81000000;
	err = (struct error){ 0 };
	assert_int_equal(debug_registers_check(values, DEBUG_REGISTER_COUNT, &err), -EINVAL);
	assert_non_null(strstr(err.text, "outside of user space"));
}

static void test_ldt(void **state)
{
	/* Nothing, a 32-bit data segment in pages, one of 16 bits that is not present and holds code, nothing. */
	const uint64_t words[] = { 0, 0x12cff334567f0000 | 0xfffe, 0x00007a0000000010, 0 };
	struct user_desc entries[4];

	assert_int_equal(ldt_used_bytes(words, sizeof(words)), 24);
	assert_int_equal(ldt_descriptors(words, sizeof(words), NULL), 2);
	assert_int_equal(ldt_descriptors(words, sizeof(words), entries), 2);
	assert_int_equal(entries[0].entry_number, 1);
	assert_int_equal(entries[0].base_addr, 0x1234567f);
	assert_int_equal(entries[0].limit, 0xffffe);
	assert_true(entries[0].seg_32bit && entries[0].limit_in_pages && !entries[0].seg_not_present);
	assert_true(entries[0].contents == 0 && !entries[0].read_exec_only);
	assert_int_equal(entries[1].entry_number, 2);
	assert_true(entries[1].contents == 2 && entries[1].seg_not_present && !entries[1].seg_32bit);
	assert_int_equal(ldt_used_bytes(NULL, 0), 0);
}

/* --- TLS -----------------------------------------------------------------------------------------------------------
 */

static void test_tls_live(void **state)
{
	struct user_desc slot = {
		.entry_number = 13,
		.base_addr = 0x12345000,
		.limit = 0xfffff,
		.seg_32bit = 1,
		.limit_in_pages = 1,
		.useable = 1,
	};
	pid_t pid = start_stopped(sleep_in_pause);
	struct user_desc slots[TLS_SLOT_COUNT], back[TLS_SLOT_COUNT];
	UserDescT **entries = NULL;
	struct error err = { 0 };
	size_t count = 0, i;

	assert_int_equal(ptrace(PTRACE_SET_THREAD_AREA, pid, 13, &slot), 0);
	assert_int_equal(tls_read(pid, slots), 0);
	assert_true(tls_is_empty(&slots[0]) && !tls_is_empty(&slots[1]) && tls_is_empty(&slots[2]));
	assert_int_equal(slots[1].base_addr, 0x12345000);
	assert_int_equal(tls_to_image(slots, &entries, &count), 0);
	assert_int_equal(count, 3);
	assert_true(entries[0]->entry_number == 12 && entries[0]->read_exec_only && entries[0]->seg_not_present);
	assert_int_equal(tls_from_image(entries, count, back, &err), 0);
	for (i = 0; i < TLS_SLOT_COUNT; i++) {
		assert_int_equal(back[i].entry_number, 12 + i);
		assert_int_equal(back[i].base_addr, slots[i].base_addr);
		assert_int_equal(back[i].limit, slots[i].limit);
		assert_int_equal(back[i].useable, slots[i].useable);
		/* The kernel takes what comes out, empty slots too. */
		assert_int_equal(ptrace(PTRACE_SET_THREAD_AREA, pid, 12 + i, &back[i]), 0);
	}
	entries[0]->entry_number = 13;
	assert_int_equal(tls_from_image(entries, count, back, &err), -EINVAL);
	entries[0]->entry_number = 99;
	assert_int_equal(tls_from_image(entries, count, back, &err), -EINVAL);
	entries[0]->entry_number = 12;
	entries[1]->seg_32bit = 0;
	assert_int_equal(tls_from_image(entries, count, back, &err), -EINVAL);
	assert_int_equal(tls_from_image(NULL, 0, back, &err), 0);
	assert_true(tls_is_empty(&back[1]));
	for (i = 0; i < count; i++)
		user_desc_t__free_unpacked(entries[i], NULL);
	free(entries);
	end_child(pid);
}

/* --- restarts ------------------------------------------------------------------------------------------------------
 */

static struct user_regs_struct regs_at(long orig, long result)
{
	struct user_regs_struct regs = plausible_regs();

	regs.orig_rax = (unsigned long long)orig;
	regs.rax = (unsigned long long)result;
	return regs;
}

static void expect_again(struct user_regs_struct live, enum restart_signal signal)
{
	struct user_regs_struct image;
	int code;

	regs_for_image_with_signal(&live, signal, &image);
	assert_true(image.rax == live.orig_rax && image.rip == live.rip - 2 && image.orig_rax == live.orig_rax);
	code = syscall_restart_code(&live, signal);
	assert_true(code == ((long)live.rax == -516 ? 514 : -(long)live.rax));
	assert_true(syscall_is_restart_code(&image, (uint32_t)code));
	image.orig_rax = ~0ull;
	syscall_leave_to_kernel((uint32_t)code, &image);
	assert_true(image.orig_rax == live.orig_rax && image.rip == live.rip && (long)image.rax == -code);
}

static void expect_result(struct user_regs_struct live, enum restart_signal signal, long result)
{
	struct user_regs_struct image;

	regs_for_image_with_signal(&live, signal, &image);
	assert_true((long)image.rax == result && image.rip == live.rip);
	assert_int_equal(syscall_restart_code(&live, signal), 0);
}

static void test_restart(void **state)
{
	expect_again(regs_at(SYS_read, -512), RESTART_NO_HANDLER);
	expect_again(regs_at(SYS_read, -512), RESTART_HANDLER_RESTART);
	expect_result(regs_at(SYS_read, -512), RESTART_HANDLER, -EINTR);
	expect_again(regs_at(SYS_futex, -513), RESTART_HANDLER);
	expect_again(regs_at(SYS_rt_sigsuspend, -514), RESTART_NO_HANDLER);
	expect_result(regs_at(SYS_rt_sigsuspend, -514), RESTART_HANDLER_RESTART, -EINTR);
	expect_again(regs_at(SYS_poll, -516), RESTART_NO_HANDLER);
	expect_result(regs_at(SYS_poll, -516), RESTART_HANDLER, -EINTR);
	expect_result(regs_at(SYS_restart_syscall, -516), RESTART_NO_HANDLER, -EINTR);
	/* Not in a system call: the value is the program's own. */
	expect_result(regs_at(-1, -512), RESTART_NO_HANDLER, -512);
	expect_result(regs_at(SYS_read, 5), RESTART_NO_HANDLER, 5);
	expect_result(regs_at(SYS_read, -EINTR), RESTART_NO_HANDLER, -EINTR);
	expect_result(regs_at(SYS_epoll_wait, -EINTR), RESTART_NO_HANDLER, -EINTR);
}

static void test_ended_call(void **state)
{
	struct user_regs_struct live = regs_at(SYS_epoll_wait, -EINTR);
	struct syscall_arguments call;

	live.r10 = 5000;
	syscall_read_arguments(&live, &call);
	assert_true(syscall_has_register_timeout(&call));
	assert_true(syscall_was_ended(&live, &call));
	live.rsi++;
	assert_false(syscall_was_ended(&live, &call));
	live.rax = 0;
	syscall_read_arguments(&live, &call);
	assert_false(syscall_was_ended(&live, &call));
	syscall_make_again_for(&live, 1000001);
	assert_int_equal(live.r10, 2);
	expect_again(live, RESTART_NO_HANDLER);
	expect_result(live, RESTART_HANDLER_RESTART, -EINTR);
	call.args[3] = (uint32_t)-1;
	assert_false(syscall_has_register_timeout(&call));
	call.args[3] = 5000;
	call.number = SYS_epoll_pwait2;
	assert_false(syscall_has_register_timeout(&call));
}

static void sleep_in_nanosleep(void)
{
	struct timespec ts = { .tv_sec = 100 };

	(void)syscall(SYS_nanosleep, &ts, &ts);
}

static void test_restart_live(void **state)
{
	pid_t pid = start_stopped(sleep_in_nanosleep);
	struct user_regs_struct live, image;

	assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &live), 0);
	assert_true(syscall_needs_restart_block(&live));
	regs_for_image_with_signal(&live, RESTART_NO_HANDLER, &image);
	assert_int_equal(image.rax, SYS_nanosleep);
	assert_int_equal(ptrace(PTRACE_PEEKTEXT, pid, image.rip, NULL) & 0xffff, 0x050f);
	/* The remainder stands where the call will read its request again; at first it is larger, by the slack. */
	assert_true(ptrace(PTRACE_PEEKDATA, pid, live.rdi, NULL) < 100 ||
		    ptrace(PTRACE_PEEKDATA, pid, live.rdi + 8, NULL) > 0);
	end_child(pid);
}

static void test_calls_that_go_on(void **state)
{
	const unsigned char poll_code[] = { 0xb8, 7, 0, 0, 0, 0x0f, 0x05 },
			    other_code[] = { 0x48, 7, 0, 0, 0, 0x0f, 0x05 };
	struct user_regs_struct image = { .rax = SYS_poll, .rdx = 3000, .rip = 0x1000 }, call, regs;

	assert_int_equal(syscall_number_from_code(poll_code), SYS_poll);
	assert_int_equal(syscall_number_from_code(other_code), 0);
	assert_true(syscall_is_made_again(&image, SYS_poll) && !syscall_is_made_again(&image, SYS_futex));
	syscall_make_elsewhere(&image, 0x5000, 0x6000, 1000001, &call);
	assert_true(call.rip == 0x5000 && call.rdx == 2 && (long long)call.orig_rax == -1);
	regs = image;
	assert_true(syscall_take_result(SYS_poll, -516, &regs));
	assert_true(regs.rip == 0x1002 && (long long)regs.rax == -516 && regs.orig_rax == SYS_poll);
	regs = image;
	assert_true(syscall_take_result(SYS_poll, 0, &regs));
	assert_true(regs.rip == 0x1002 && regs.rax == 0 && (long long)regs.orig_rax == -1);
	regs = image;
	assert_false(syscall_take_result(SYS_poll, -512, &regs));
	assert_memory_equal(&regs, &image, sizeof(regs));
	assert_false(syscall_is_restart_code(&image, 516));
	image.rax = ~0ull;
	assert_false(syscall_is_restart_code(&image, 514));
}

/* --- processor -----------------------------------------------------------------------------------------------------
 */

static void test_cpuinfo(void **state)
{
	struct cpu_info here, image, other;
	CpuinfoX86Entry *entry;
	char names[64];

	cpu_info_read(&here);
	assert_true(here.capability[0] & (1 << 26));
	assert_true(here.xsave_bytes == xstate_bytes() && here.xsave_bytes_max >= here.xsave_bytes);
	entry = cpu_info_to_image(&here);
	assert_int_equal(cpu_info_from_image(entry, &image), 0);
	assert_memory_equal(&here, &image, sizeof(here));
	assert_int_equal(cpu_info_missing(&image, &here, CPU_COMPARE_EXACT, names, sizeof(names)), 0);
	assert_int_equal(cpu_info_missing(&image, &here, CPU_COMPARE_INS, names, sizeof(names)), 0);
	assert_int_equal(cpu_info_missing(&image, &here, CPU_COMPARE_FPU, names, sizeof(names)), 0);
	entry->capability_ver = 1;
	assert_int_equal(cpu_info_from_image(entry, &image), -EINVAL);
	entry->n_capability = 12;
	assert_int_equal(cpu_info_from_image(entry, &image), 0);
	cpuinfo_x86_entry__free_unpacked(entry, NULL);

	other = here;
	other.capability[0] &= ~(1u << 25);
	other.capability[4] &= ~(1u << 20);
	other.capability[9] |= 1u << 10; /* invpcid: no program's business */
	assert_int_equal(cpu_info_missing(&here, &other, CPU_COMPARE_INS, names, sizeof(names)), 2);
	assert_string_equal(names, "sse, sse4_2");
	assert_int_equal(cpu_info_missing(&here, &other, CPU_COMPARE_FPU, names, sizeof(names)), 1);
	other.xfeatures_mask = 1;
	assert_true(cpu_info_missing(&here, &other, CPU_COMPARE_FPU, names, 24) > 1);
	assert_true(strlen(names) < 24);
	assert_int_equal(cpu_info_missing(&here, &other, CPU_COMPARE_INS, names, 0), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xstate_live),        cmocka_unit_test(test_xstate_refusals),
		cmocka_unit_test(test_xstate_key_rights),  cmocka_unit_test(test_xstate_requested),
		cmocka_unit_test(test_xstate_from_kernel), cmocka_unit_test(test_xstate_legacy),
		cmocka_unit_test(test_regs_live),          cmocka_unit_test(test_regs_refusals),
		cmocka_unit_test(test_debug_registers),    cmocka_unit_test(test_ldt),
		cmocka_unit_test(test_tls_live),           cmocka_unit_test(test_restart),
		cmocka_unit_test(test_ended_call),         cmocka_unit_test(test_restart_live),
		cmocka_unit_test(test_calls_that_go_on),   cmocka_unit_test(test_cpuinfo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
