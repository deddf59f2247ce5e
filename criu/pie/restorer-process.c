/* What a process has once and only itself can set: personality, switches of prctl, the LDT, limits. */
#include "pie/restorer-process.h"

#include <asm-generic/mman-common.h>
#include <linux/prctl.h>

#include "pie/restorer-report.h"

#define CALL_MEMBARRIER  324
#define SET_MEMORY_MERGE 67
#define SET_MDWE         65
#define WRITE_LDT        0x11
#define REQUEST_STATE    0x1023 /* ARCH_REQ_XCOMP_PERM */
#define FUTEX_HASH       78
#define FUTEX_HASH_SET   1
#define FUTEX_HASH_GET   2

void set_personality(struct restorer_task *task)
{
	enter(task, STEP_PERSONALITY);
	check(task, SYS1(__NR_personality, task->personality), task->personality);
}

/* What is there becomes mergeable with it, as far as it can, also what was not: a stack made by execve(), say. */
static void keep_apart(struct restorer_task *task)
{
	for (uint64_t i = 0; task->ksm && i < task->vma_count; i++) {
		const struct restorer_vma *vma = &task->vmas[i];

		if (!(vma->advice >> MADV_MERGEABLE & 1))
			check(task, SYS3(__NR_madvise, vma->start, vma->end - vma->start, MADV_UNMERGEABLE),
			      vma->start);
	}
}

void set_ksm(struct restorer_task *task)
{
	if (task->ksm < 0)
		return;
	enter(task, STEP_KSM);
	check(task, SYS5(__NR_prctl, SET_MEMORY_MERGE, task->ksm, 0, 0, 0), 0);
	keep_apart(task);
}

void set_subreaper(struct restorer_task *task)
{
	if (task->subreaper < 0)
		return;
	enter(task, STEP_SUBREAPER);
	check(task, SYS5(__NR_prctl, PR_SET_CHILD_SUBREAPER, task->subreaper, 0, 0, 0), 0);
}

void register_membarriers(struct restorer_task *task)
{
	enter(task, STEP_MEMBARRIER);
	for (uint32_t bit = 0; bit < 32; bit++)
		if (task->membarrier_commands >> bit & 1)
			check(task, SYS3(CALL_MEMBARRIER, 1u << bit, 0, 0), bit);
}

/* All threads are there: who starts one gets as many as the kernel thinks fit. An older one has none to choose. */
void set_futex_hash(struct restorer_task *task)
{
	long found = task->futex_hash < 0 ? -1 : SYS5(__NR_prctl, FUTEX_HASH, FUTEX_HASH_GET, 0, 0, 0);

	if (found < 0 || found == task->futex_hash)
		return;
	enter(task, STEP_FUTEX_HASH);
	check(task, SYS5(__NR_prctl, FUTEX_HASH, FUTEX_HASH_SET, task->futex_hash, 0, 0), (uint64_t)task->futex_hash);
}

/* Before there are alternate signal stacks: they must have room for it. */
void request_components(struct restorer_task *task)
{
	enter(task, STEP_COMPONENT);
	for (uint64_t number = 0; number < 64; number++)
		if (task->requested_components >> number & 1)
			check(task, SYS2(__NR_arch_prctl, REQUEST_STATE, number), number);
}

/* The only call whose failure is a positive number: 32 bits without sign. */
void set_ldt(struct restorer_task *task)
{
	enter(task, STEP_LDT);
	for (uint64_t i = 0; i < task->ldt_count; i++)
		check(task, (int32_t)SYS3(__NR_modify_ldt, WRITE_LDT, task->ldt[i], sizeof(task->ldt[i])), i);
}

/*
 * 2 is what the kernel itself sets after a change of ids, where fs.suid_dumpable says so; it cannot be asked for. While
 * there is the right to, an id is changed that gives and takes nothing, and back.
 */
void become_suid_dumpable(struct restorer_task *task)
{
	long own;

	if (task->dumpable != 2)
		return;
	own = SYS1(__NR_setfsgid, -1);
	(void)SYS1(__NR_setfsgid, own ^ 1);
	(void)SYS1(__NR_setfsgid, own);
}

void set_dumpable(struct restorer_task *task)
{
	if (task->dumpable < 0)
		return;
	enter(task, STEP_DUMPABLE);
	if (SYS5(__NR_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0) == task->dumpable)
		return;
	if (task->dumpable == 2)
		fail(task, -ERROR_INVAL, 2, 0);
	else
		check(task, SYS5(__NR_prctl, PR_SET_DUMPABLE, task->dumpable == 1, 0, 0, 0), (uint64_t)task->dumpable);
}

/* Another user's could be set from outside with CAP_SYS_RESOURCE only; to lower one's own needs no right. */
void set_limits(struct restorer_task *task, int32_t pid)
{
	enter(task, STEP_RLIMIT);
	for (uint32_t i = 0; i < RESTORER_LIMITS; i++)
		if (task->limits_to_set >> i & 1)
			check(task, SYS4(__NR_prlimit64, pid, i, &task->limits[i], 0), i);
}

void set_mdwe(struct restorer_task *task)
{
	if (!task->mdwe)
		return;
	enter(task, STEP_MDWE);
	check(task, SYS5(__NR_prctl, SET_MDWE, task->mdwe, 0, 0, 0), task->mdwe);
}
