/* One table row per register serves both directions; the checks stand beside it. */
#include "arch/x86/regs.h"

#include <cpuid.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "base/util.h"
#include "kernel/missing-ptrace.h"

/* Selectors of 64-bit user mode; under Xen's paravirtualisation they are others. */
#define USER_CS     0x33
#define USER_SS     0x2b
#define USER_CS_32  0x23
#define XEN_USER_CS 0xe033
#define XEN_USER_SS 0xe02b

int regs_is_native(const struct user_regs_struct *regs)
{
	return regs->cs == USER_CS || regs->cs == XEN_USER_CS;
}

/* --- the members, both directions -------------------------------------------------------------------------------- */

struct register_row {
	size_t live_offset, image_offset;
};

#define ROW(live, image)                                                                                               \
	{                                                                                                              \
		offsetof(struct user_regs_struct, live), offsetof(UserX86RegsEntry, image)                             \
	}

static const struct register_row rows[] = {
	ROW(r15, r15),         ROW(r14, r14), ROW(r13, r13),
	ROW(r12, r12),         ROW(rbp, bp),  ROW(rbx, bx),
	ROW(r11, r11),         ROW(r10, r10), ROW(r9, r9),
	ROW(r8, r8),           ROW(rax, ax),  ROW(rcx, cx),
	ROW(rdx, dx),          ROW(rsi, si),  ROW(rdi, di),
	ROW(rip, ip),          ROW(cs, cs),   ROW(rsp, sp),
	ROW(eflags, flags),    ROW(ss, ss),   ROW(fs_base, fs_base),
	ROW(gs_base, gs_base), ROW(ds, ds),   ROW(es, es),
	ROW(fs, fs),           ROW(gs, gs),   ROW(orig_rax, orig_ax),
};

_Static_assert(ARRAY_SIZE(rows) * sizeof(unsigned long long) == sizeof(struct user_regs_struct),
	       "each general register has its row");

static unsigned long long *live_register(const struct user_regs_struct *regs, const struct register_row *row)
{
	return (unsigned long long *)((char *)regs + row->live_offset);
}

static uint64_t *image_register(const UserX86RegsEntry *entry, const struct register_row *row)
{
	return (uint64_t *)((char *)entry + row->image_offset);
}

int regs_to_image(const struct user_regs_struct *regs, UserX86RegsEntry **ret, struct error *err)
{
	UserX86RegsEntry *entry;
	size_t i;

	if (!regs_is_native(regs))
		return error_say(err, -EOPNOTSUPP, "%s (code segment 0x%llx) cannot be dumped",
				 regs->cs == USER_CS_32 ? "a 32-bit task" : "a task in a code segment of its own",
				 regs->cs);
	entry = malloc(sizeof(*entry));
	if (!entry)
		return error_set(err, -ENOMEM, "registers");
	user_x86_regs_entry__init(entry);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		*image_register(entry, &rows[i]) = *live_register(regs, &rows[i]);
	entry->has_mode = 1;
	entry->mode = USER_X86_REGS_MODE__NATIVE;
	*ret = entry;
	return 0;
}

/* --- what an image may hold -------------------------------------------------------------------------------------- */

/* CF PF AF ZF SF TF IF DF OF NT RF AC ID and the bit that is always set. */
#define USER_FLAGS                                                                                                     \
	(1UL << 0 | 1UL << 1 | 1UL << 2 | 1UL << 4 | 1UL << 6 | 1UL << 7 | 1UL << 8 | 1UL << 9 | 1UL << 10 |           \
	 1UL << 11 | 1UL << 14 | 1UL << 16 | 1UL << 18 | 1UL << 21)

/* First address behind user space; with five page table levels the kernel hands out more only to those who ask. */
static uint64_t user_space_end(void)
{
	static uint64_t end;
	uint64_t known = __atomic_load_n(&end, __ATOMIC_RELAXED);
	unsigned a, b, c, d;

	if (known)
		return known;
	known = (UINT64_C(1) << (__get_cpuid_count(7, 0, &a, &b, &c, &d) && c & (1U << 16) ? 56 : 47)) - PAGE_BYTES;
	__atomic_store_n(&end, known, __ATOMIC_RELAXED);
	return known;
}

bool is_user_address(uint64_t address)
{
	return address < user_space_end();
}

/* Data selectors: none, those of user mode, one of the three TLS slots, or one of the process's own table. */
static bool is_user_selector(uint64_t selector)
{
	uint64_t slot = selector >> 3;

	if (selector == 0 || selector == USER_SS || selector == USER_CS || selector == USER_CS_32 ||
	    selector == XEN_USER_SS)
		return true;
	if ((selector & 7) == 7 && selector <= UINT16_MAX)
		return true;
	return (selector & 7) == 3 && slot >= TLS_SLOT_FIRST && slot < TLS_SLOT_FIRST + TLS_SLOT_COUNT;
}

int regs_check(const struct user_regs_struct *regs, struct error *err)
{
	const struct {
		const char *name;
		uint64_t value;
	} selectors[] = { { "ds", regs->ds }, { "es", regs->es }, { "fs", regs->fs }, { "gs", regs->gs } };
	const struct {
		const char *name;
		uint64_t value;
	} addresses[] = { { "ip", regs->rip }, { "fs_base", regs->fs_base }, { "gs_base", regs->gs_base } };
	size_t i;

	if (!regs_is_native(regs))
		return error_say(err, -EINVAL, "register cs is 0x%llx, no 64-bit code segment", regs->cs);
	if (regs->ss != USER_SS && regs->ss != XEN_USER_SS)
		return error_say(err, -EINVAL, "register ss is 0x%llx, no stack segment of user mode", regs->ss);
	for (i = 0; i < ARRAY_SIZE(selectors); i++)
		if (!is_user_selector(selectors[i].value))
			return error_say(err, -EINVAL, "register %s is 0x%llx, no segment of user mode",
					 selectors[i].name, (unsigned long long)selectors[i].value);
	for (i = 0; i < ARRAY_SIZE(addresses); i++)
		if (!is_user_address(addresses[i].value))
			return error_say(err, -EINVAL, "register %s is 0x%llx, outside of user space",
					 addresses[i].name, (unsigned long long)addresses[i].value);
	if (regs->eflags & ~USER_FLAGS)
		return error_say(err, -EINVAL, "register flags is 0x%llx, with privileged bits", regs->eflags);
	return 0;
}

int regs_from_image(const UserX86RegsEntry *entry, struct user_regs_struct *ret, struct error *err)
{
	struct user_regs_struct regs = { 0 };
	size_t i;
	int r;

	if (entry->has_mode && entry->mode == USER_X86_REGS_MODE__COMPAT)
		return error_say(err, -EOPNOTSUPP, "a 32-bit task cannot be restored");
	if (entry->has_mode && entry->mode != USER_X86_REGS_MODE__NATIVE)
		return error_say(err, -EINVAL, "unknown register mode %d", (int)entry->mode);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		*live_register(&regs, &rows[i]) = *image_register(entry, &rows[i]);
	r = regs_check(&regs, err);
	if (r < 0)
		return r;
	*ret = regs;
	return 0;
}

/* --- TLS descriptors --------------------------------------------------------------------------------------------- */

static struct user_desc empty_slot(unsigned entry_number)
{
	return (struct user_desc){ .entry_number = entry_number, .read_exec_only = 1, .seg_not_present = 1 };
}

int tls_is_empty(const struct user_desc *slot)
{
	return slot->base_addr == 0 && slot->limit == 0 && !slot->seg_32bit && slot->contents == 0 &&
	       !slot->limit_in_pages && !slot->useable && slot->read_exec_only == slot->seg_not_present;
}

void tls_clear(struct user_desc ret[TLS_SLOT_COUNT])
{
	for (unsigned int i = 0; i < TLS_SLOT_COUNT; i++)
		ret[i] = empty_slot(TLS_SLOT_FIRST + i);
}

int tls_read(pid_t tid, struct user_desc ret[TLS_SLOT_COUNT])
{
	struct user_desc slots[TLS_SLOT_COUNT] = { 0 };
	unsigned i;

	for (i = 0; i < TLS_SLOT_COUNT; i++) {
		unsigned long entry_number = TLS_SLOT_FIRST + i;

		/* -EIO: a kernel without 32-bit emulation, where the slots cannot be set either. */
		if (ptrace(PTRACE_GET_THREAD_AREA, tid, entry_number, &slots[i]) < 0) {
			if (errno != EIO)
				return -errno;
			slots[i] = empty_slot(TLS_SLOT_FIRST + i);
		}
		if (tls_is_empty(&slots[i]))
			slots[i] = empty_slot(TLS_SLOT_FIRST + i);
	}
	memcpy(ret, slots, sizeof(slots));
	return 0;
}

int tls_write(pid_t tid, const struct user_desc *slot)
{
	return ptrace(PTRACE_SET_THREAD_AREA, tid, (unsigned long)slot->entry_number, slot) < 0 ? -errno : 0;
}

bool has_io_ports(pid_t tid)
{
	uint64_t first;
	struct iovec iov = { &first, sizeof(first) };

	return ptrace(PTRACE_GETREGSET, tid, NT_386_IOPERM, &iov) == 0 && iov.iov_len;
}

static UserDescT *slot_to_image(const struct user_desc *slot)
{
	UserDescT *entry = malloc(sizeof(*entry));

	if (!entry)
		return NULL;
	user_desc_t__init(entry);
	entry->entry_number = slot->entry_number;
	entry->base_addr = slot->base_addr;
	entry->limit = slot->limit;
	entry->seg_32bit = slot->seg_32bit;
	entry->contents_h = slot->contents & 2 ? 1 : 0;
	entry->contents_l = slot->contents & 1;
	entry->read_exec_only = slot->read_exec_only;
	entry->limit_in_pages = slot->limit_in_pages;
	entry->seg_not_present = slot->seg_not_present;
	entry->usable = slot->useable;
	return entry;
}

int tls_to_image(const struct user_desc slots[TLS_SLOT_COUNT], UserDescT ***ret, size_t *ret_count)
{
	UserDescT **entries = calloc(TLS_SLOT_COUNT, sizeof(UserDescT *));
	size_t i;

	if (!entries)
		return -ENOMEM;
	for (i = 0; i < TLS_SLOT_COUNT; i++) {
		entries[i] = slot_to_image(&slots[i]);
		if (entries[i])
			continue;
		while (i--)
			free(entries[i]);
		free(entries);
		return -ENOMEM;
	}
	*ret = entries;
	*ret_count = TLS_SLOT_COUNT;
	return 0;
}

static struct user_desc slot_from_image(const UserDescT *entry)
{
	return (struct user_desc){
		.entry_number = entry->entry_number,
		.base_addr = entry->base_addr,
		.limit = entry->limit,
		.seg_32bit = entry->seg_32bit != 0,
		.contents = (unsigned)((entry->contents_h ? 2 : 0) | (entry->contents_l ? 1 : 0)),
		.read_exec_only = entry->read_exec_only != 0,
		.limit_in_pages = entry->limit_in_pages != 0,
		.seg_not_present = entry->seg_not_present != 0,
		.useable = entry->usable != 0,
	};
}

/* The kernel takes nothing but present 32-bit data segments. */
static bool is_settable(const struct user_desc *slot)
{
	return tls_is_empty(slot) ||
	       (slot->seg_32bit && slot->contents <= 1 && !slot->seg_not_present && slot->limit <= 0xfffff);
}

int tls_from_image(UserDescT *const *entries, size_t count, struct user_desc ret[TLS_SLOT_COUNT], struct error *err)
{
	struct user_desc slots[TLS_SLOT_COUNT];
	unsigned seen = 0;
	size_t i;

	for (i = 0; i < TLS_SLOT_COUNT; i++)
		slots[i] = empty_slot(TLS_SLOT_FIRST + (unsigned)i);
	for (i = 0; i < count; i++) {
		struct user_desc slot = slot_from_image(entries[i]);
		unsigned index = slot.entry_number - TLS_SLOT_FIRST;

		if (index >= TLS_SLOT_COUNT || (seen & (1U << index)))
			return error_say(err, -EINVAL, "image: TLS descriptor %u is no slot, or there twice",
					 slot.entry_number);
		if (!is_settable(&slot))
			return error_say(err, -EINVAL, "image: TLS descriptor %u is no data segment",
					 slot.entry_number);
		seen |= 1U << index;
		if (!tls_is_empty(&slot))
			slots[index] = slot;
	}
	memcpy(ret, slots, sizeof(slots));
	return 0;
}
