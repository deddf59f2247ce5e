/*
 * The memory of the task: what is not the restore area is unmapped, the mappings are made at their addresses and
 * filled, then protected, locked and sealed. Sealing comes last, for nothing of a sealed mapping can be changed.
 */
#include "pie/restorer-memory.h"

#include <asm/prctl.h>
#include <linux/mman.h>
#include <linux/prctl.h>

#include "pie/restorer-contents.h"
#include "pie/restorer-files.h"
#include "pie/restorer-keys.h"
#include "pie/restorer-report.h"
#include "pie/restorer-rings.h"

#define CALL_MSEAL           462
#define CALL_SET_HOME_NODE   450 /* set_mempolicy_home_node(2) */
#define ADVICE_GUARD_INSTALL 102
#define MAP_VDSO_64          0x2003
#define MADV_LAST            63

#define TASK_END  0x7ffffffff000ull
#define PAGE_SIZE 4096ull

void unmap_others(struct restorer_task *task)
{
	const uint64_t end = task->area_start + task->area_bytes;

	enter(task, STEP_UNMAP);
	check(task, SYS2(__NR_munmap, 0, task->area_start), 0);
	check(task, SYS2(__NR_munmap, end, TASK_END - end), end);
}

static void set_thp(struct restorer_task *task)
{
	if (task->thp_disable < 0)
		return;
	enter(task, STEP_THP);
	check(task, SYS5(__NR_prctl, PR_SET_THP_DISABLE, task->thp_disable, task->thp_flags, 0, 0), 0);
}

/* The kernel takes the address as a wish only: whether it was granted is seen by what is there now. */
static void map_vdso(struct restorer_task *task)
{
	const struct restorer_range *unmap = &task->vdso_unmap;
	long result;

	if (task->vdso == VDSO_NONE)
		return;
	enter(task, STEP_VDSO);
	check(task, SYS2(__NR_arch_prctl, MAP_VDSO_64, task->vdso_map_at), task->vdso_map_at);
	result = SYS6(__NR_mmap, task->vdso_map_at, PAGE_SIZE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (result != -ERROR_EXIST)
		fail(task, -ERROR_EXIST, task->vdso_map_at, 0);
	if (unmap->end > unmap->start)
		check(task, SYS2(__NR_munmap, unmap->start, unmap->end - unmap->start), unmap->start);
}

static void map_one(struct restorer_task *task, const struct restorer_vma *vma)
{
	const int fd = vma->file < 0 || vma->flags & RESTORER_VMA_RING ? -1 : task->files[vma->file];
	const long result = SYS6(__NR_mmap, vma->start, vma->end - vma->start, vma->map_prot, vma->map_flags, fd,
				 fd < 0 ? 0 : vma->offset);

	if (result < 0 && result > -4096)
		fail(task, result, vma->start, vma->end);
	/* Kernels that do not know the flag take the address as a wish. */
	if ((uint64_t)result != vma->start)
		fail(task, -ERROR_EXIST, vma->start, vma->end);
}

void advise_one(struct restorer_task *task, const struct restorer_vma *vma)
{
	for (uint32_t n = 0; n <= MADV_LAST; n++) {
		long result;

		if (!(vma->advice >> n & 1))
			continue;
		result = SYS3(__NR_madvise, vma->start, vma->end - vma->start, n);
		if (result < 0)
			fail(task, result, vma->start, n);
	}
}

/* Before there are contents, which go to the nodes it names. */
static void set_policy(struct restorer_task *task, const struct restorer_vma *vma)
{
	const uint64_t bytes = vma->end - vma->start;
	long result;

	if (!vma->policy_mode)
		return;
	enter(task, STEP_MBIND);
	result = SYS6(__NR_mbind, vma->start, bytes, vma->policy_mode, vma->policy_nodes ? &vma->policy_nodes : 0,
		      8 * sizeof(vma->policy_nodes) + 1, 0);
	if (result == 0 && vma->flags & RESTORER_VMA_HOME_NODE)
		result = SYS4(CALL_SET_HOME_NODE, vma->start, bytes, vma->home_node, 0);
	if (result < 0)
		fail(task, result, vma->start, vma->end);
}

static void map_all(struct restorer_task *task)
{
	uint64_t aios = 0;

	for (uint64_t i = 0; i < task->vma_count; i++) {
		enter(task, STEP_MAP);
		map_one(task, &task->vmas[i]);
		if (task->vmas[i].flags & RESTORER_VMA_AIO)
			set_up_aio(task, &task->aios[aios++]);
		if (task->vmas[i].flags & RESTORER_VMA_RING)
			continue;
		set_policy(task, &task->vmas[i]);
		if (!task->vmas[i].advice)
			continue;
		enter(task, STEP_MADVISE);
		advise_one(task, &task->vmas[i]);
	}
}

static void protect_all(struct restorer_task *task)
{
	enter(task, STEP_PROTECT);
	for (uint64_t i = 0; i < task->vma_count; i++) {
		const struct restorer_vma *vma = &task->vmas[i];
		long result = 0;

		if (vma->key)
			result = SYS4(__NR_pkey_mprotect, vma->start, vma->end - vma->start, vma->prot, vma->key);
		else if (vma->prot != vma->map_prot)
			result = SYS3(__NR_mprotect, vma->start, vma->end - vma->start, vma->prot);
		if (result < 0)
			fail(task, result, vma->start, vma->end);
	}
}

static void install_guards(struct restorer_task *task)
{
	enter(task, STEP_GUARD);
	for (uint64_t i = 0; i < task->guard_count; i++) {
		const struct restorer_range *guard = &task->guards[i];
		long result = SYS3(__NR_madvise, guard->start, guard->end - guard->start, ADVICE_GUARD_INSTALL);

		if (result < 0)
			fail(task, result, guard->start, guard->end);
	}
}

static long lock_range(uint64_t start, uint64_t end, int flags)
{
	return start < end ? SYS3(__NR_mlock2, start, end - start, flags) : 0;
}

/*
 * The kernel locks a mapping with guard pages as well, but faults in nothing behind the first of them, and calls that
 * ENOMEM, as it does a limit that forbids the locking. Without faults only that one is left.
 */
static long lock_around_guards(const struct restorer_task *task, const struct restorer_vma *vma)
{
	long result = lock_range(vma->start, vma->end, MLOCK_ONFAULT);
	uint64_t at = vma->start;

	for (uint64_t i = 0; i < task->guard_count && result == 0; i++) {
		const struct restorer_range *guard = &task->guards[i];

		if (guard->start < at || guard->end > vma->end)
			continue;
		result = lock_range(at, guard->start, 0);
		(void)lock_range(guard->start, guard->end, 0);
		at = guard->end;
	}
	return result == 0 ? lock_range(at, vma->end, 0) : result;
}

static void lock_all(struct restorer_task *task)
{
	enter(task, STEP_LOCK);
	for (uint64_t i = 0; i < task->vma_count; i++) {
		const struct restorer_vma *vma = &task->vmas[i];
		long result = 0;

		if (vma->flags & RESTORER_VMA_LOCK)
			result = lock_range(vma->start, vma->end,
					    vma->flags & RESTORER_VMA_LOCK_ON_FAULT ? MLOCK_ONFAULT : 0);
		if (result == -ERROR_NOMEM && !(vma->flags & RESTORER_VMA_LOCK_ON_FAULT) && task->guard_count)
			result = lock_around_guards(task, vma);
		if (result < 0 && !(result == -ERROR_NOMEM && vma->flags & RESTORER_VMA_LOCK_QUIET))
			fail(task, result, vma->start, vma->end);
	}
}

/* Without MCL_CURRENT nothing that is there changes. */
static void lock_future(struct restorer_task *task)
{
	if (!task->lock_future)
		return;
	enter(task, STEP_LOCK_FUTURE);
	check(task, SYS1(__NR_mlockall, task->lock_future), task->lock_future);
}

static void seal_all(struct restorer_task *task)
{
	enter(task, STEP_SEAL);
	for (uint64_t i = 0; i < task->vma_count; i++) {
		const struct restorer_vma *vma = &task->vmas[i];
		long result = 0;

		if (vma->flags & RESTORER_VMA_SEAL)
			result = SYS3(CALL_MSEAL, vma->start, vma->end - vma->start, 0);
		if (result < 0)
			fail(task, result, vma->start, vma->end);
	}
}

static void set_mm_map(struct restorer_task *task)
{
	enter(task, STEP_MM_MAP);
	task->mm_map.exe_fd = task->files[task->exe];
	check(task, SYS5(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, &task->mm_map, sizeof(task->mm_map), 0), 0);
}

void build_memory(struct restorer_task *task)
{
	set_thp(task);
	map_vdso(task);
	allocate_keys(task);
	map_all(task);
	map_rings(task);
	fill_large(task);
	read_pages(task, task->reads, task->read_count);
	finish_aios(task);
	write_jumps(task);
	protect_all(task);
	free_keys(task);
	install_guards(task);
	lock_all(task);
	register_buffers(task);
	set_mm_map(task);
	close_files(task);
	seal_all(task);
	lock_future(task);
}
