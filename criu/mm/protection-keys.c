/*
 * Protection keys. A process allocates numbers (pkey_alloc), puts mappings under them (pkey_mprotect), and each of its
 * threads has rights to each number in a register (arch/x86/xstate.c). One number the kernel takes for itself when
 * memory becomes such that it can be executed only (PROT_EXEC alone): no call of the program's accepts that one.
 *
 * smaps tells the key of each mapping. Which are allocated, and which is the kernel's, stands in the kernel's structure
 * of the address space. It is read with other facts of large trees (kernel/task-facts.h), and of a process that has
 * mappings under keys. Of any other, and without BPF, the task itself finds out which numbers its calls accept, and the
 * kernel's is the one among the others that execute-only memory is under: without such memory nothing tells whether
 * there is one.
 *
 * The restorer allocates all numbers first, so that each can be used and the kernel takes none, and gives back those
 * that were free (pie/restorer-keys.c). Keys of the kernel's own areas (vdso) cannot be restored.
 */
#include "mm/protection-keys.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/x86/xstate.h"
#include "base/log.h"
#include "engine/dump.h"
#include "image/vma-status.h"
#include "kernel/kernel-memory.h"
#include "kernel/proc-maps.h"
#include "kernel/task-facts.h"
#include "mm/mm-internal.h"
#include "pie/parasite-border.h"

#define KEY_BIT(n) (1u << (n))

/* --- dump -------------------------------------------------------------------------------------------------------- */

struct keys {
	uint32_t allocated;    /* by the program; bit 0 */
	uint32_t execute_only; /* 0: none */
};

static bool is_execute_only(const VmaEntry *entry)
{
	return entry->prot == PROT_EXEC && !(entry->status & (VMA_VSYSCALL | VMA_VDSO | VMA_VVAR | VMA_GUARD));
}

static uint32_t key_of(const VmaEntry *entry)
{
	return entry->has_protection_key ? entry->protection_key : 0;
}

static uint32_t find_execute_only(const struct task *task, uint32_t allocated)
{
	const struct task_memory *memory = task->memory;

	for (size_t i = 0; i < memory->area_count; i++) {
		const VmaEntry *entry = &memory->areas[i].entry;

		if (is_execute_only(entry) && key_of(entry) && !(allocated & KEY_BIT(key_of(entry))))
			return key_of(entry);
	}
	return 0;
}

static struct keys keys_of(const struct task *task)
{
	const struct task_memory *memory = task->memory;
	struct keys keys = { .allocated = KEY_BIT(0) };

	if (memory->allocated_keys) {
		keys.execute_only = memory->execute_only_key > 0 ? (uint32_t)memory->execute_only_key : 0;
		keys.allocated = memory->allocated_keys;
		if (keys.execute_only)
			keys.allocated &= ~KEY_BIT(keys.execute_only);
	} else if (xstate_has_protection_keys()) {
		keys.allocated |= (uint32_t)task->parasite->keys;
		keys.execute_only = find_execute_only(task, keys.allocated);
	}
	return keys;
}

bool protection_keys_can_restore(const struct proc_vma *vma, bool is_kernel_area)
{
	return vma->protection_key <= 0 || !is_kernel_area;
}

static bool has_keyed_mappings(const struct task *task)
{
	for (size_t i = 0; i < task->maps.count; i++)
		if (task->maps.vmas[i].protection_key > 0)
			return true;
	return false;
}

static int read_kernel_memory(struct dump *d, const struct task *task, uint16_t *ret_allocated,
			      int16_t *ret_execute_only)
{
	struct kernel_memory *km;
	uint64_t mm = 0;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = kernel_memory_mm(km, task->pidfd, &mm);
	if (r == 0)
		r = kernel_memory_member(km, mm, "mm_struct", "context.pkey_allocation_map", ret_allocated,
					 sizeof(*ret_allocated));
	if (r == 0)
		r = kernel_memory_member(km, mm, "mm_struct", "context.execute_only_pkey", ret_execute_only,
					 sizeof(*ret_execute_only));
	return r;
}

static const struct task_facts *facts_of(const struct task *task)
{
	const struct task_facts *facts = task->thread_count ? task->threads[0].facts : NULL;

	return facts && facts->allocated_keys ? facts : NULL;
}

void protection_keys_look(struct dump *d, struct task *task)
{
	const struct task_facts *facts = facts_of(task);
	uint16_t allocated = 0;
	int16_t execute_only = 0;
	int r;

	if (!xstate_has_protection_keys())
		return;
	if (facts) {
		task->memory->allocated_keys = facts->allocated_keys;
		task->memory->execute_only_key = facts->execute_only_key;
		return;
	}
	if (!has_keyed_mappings(task))
		return;
	r = read_kernel_memory(d, task, &allocated, &execute_only);
	if (r == 0) {
		task->memory->allocated_keys = allocated;
		task->memory->execute_only_key = execute_only;
	} else
		log_debug(TASK_FORMAT ": the kernel's record of its protection keys cannot be read: %s",
			  TASK_ARGS(task), strerror(-r));
}

/* Also of one whose record was read: others that are like it may have no mappings under keys. */
bool protection_keys_are_to_be_asked(const struct task *task)
{
	return xstate_has_protection_keys() && !facts_of(task);
}

/* Memory that can be executed only, and read as well, is so because there were no keys, or none was left. */
void protection_keys_save(const struct task *task, MmEntry *mm)
{
	const struct keys keys = keys_of(task);

	mm->protection_keys = keys.allocated;
	mm->execute_only_key = keys.execute_only;
	mm->has_execute_only_key = keys.execute_only != 0;
	mm->has_protection_keys = keys.allocated != KEY_BIT(0) || keys.execute_only;
	for (size_t i = 0; i < mm->n_vmas && !mm->has_protection_keys; i++)
		mm->has_protection_keys = key_of(mm->vmas[i]) != 0 || is_execute_only(mm->vmas[i]);
}

/* The first number for the kernel, and what can be executed only under it, comes by itself. */
bool protection_keys_are_needed(const struct task *task)
{
	const struct task_memory *memory = task->memory;
	struct keys keys;

	/* The memory of who waits in a vfork is its child's. */
	if (task->is_zombie || task->vfork_child)
		return false;
	keys = keys_of(task);
	if (keys.allocated != KEY_BIT(0) || keys.execute_only > 1)
		return true;
	for (size_t i = 0; i < memory->area_count; i++) {
		const VmaEntry *entry = &memory->areas[i].entry;

		if (key_of(entry) && !(key_of(entry) == keys.execute_only && is_execute_only(entry)))
			return true;
	}
	return false;
}

/* --- restore ----------------------------------------------------------------------------------------------------- */

static int refuse(const struct checked_task *task, const char *what, struct error *err)
{
	error_hint(err, "restore it on a processor and kernel with protection keys (pku and ospke in /proc/cpuinfo)");
	return error_say(err, -EOPNOTSUPP, "pid %u (%s): %s, which this processor lacks", task->entry->pid,
			 task->threads[0].core->tc->comm, what);
}

int protection_keys_check(const struct checked_task *task, struct error *err)
{
	const MmEntry *mm = task->mm;

	if (!mm || xstate_has_protection_keys())
		return 0;
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (key_of(mm->vmas[i]))
			return refuse(task, "has memory under protection keys", err);
	if (mm->has_protection_keys && mm->protection_keys & ~KEY_BIT(0))
		return refuse(task, "has allocated protection keys", err);
	return 0;
}

void protection_keys_plan(const MmEntry *mm, struct restorer_task *out)
{
	out->sets_keys = mm->has_protection_keys && xstate_has_protection_keys();
	out->keys = mm->protection_keys | KEY_BIT(0);
	out->execute_only_key = mm->has_execute_only_key ? mm->execute_only_key : 0;
}
