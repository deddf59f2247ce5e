/*
 * Address spaces: mappings that a kernel can have, backed by files that are there, and page maps that stay within them.
 * Shared memory objects are collected from the mappings and from memfd inodes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/util.h"
#include "image/image-check-private.h"
#include "image/vma-status.h"

#define AUXV_WORDS_MAX   64
#define PROTECTION_KEYS  16u
#define AIO_EVENT_BYTES  32u /* of each request that can be in a ring */
#define VSYSCALL_ADDRESS 0xffffffffff600000ull

#define STATUS_KNOWN                                                                                                   \
	((uint32_t)(VMA_REGULAR | VMA_STACK | VMA_VSYSCALL | VMA_VDSO | VMA_HEAP | VMA_FILE_PRIVATE |                  \
		    VMA_FILE_SHARED | VMA_ANON_SHARED | VMA_ANON_PRIVATE | VMA_SYSVIPC | VMA_SOCKET | VMA_VVAR |       \
		    VMA_AIORING | VMA_MEMFD | VMA_SHSTK | VMA_GUARD | VMA_PLUGIN))

/* How the content of a mapping is backed: no more than one of them. */
#define STATUS_BACKING ((uint32_t)(VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_ANON_SHARED | VMA_ANON_PRIVATE))

/* Those need none of them. */
#define STATUS_SPECIAL ((uint32_t)(VMA_VSYSCALL | VMA_SOCKET | VMA_AIORING | VMA_SHSTK | VMA_GUARD | VMA_PLUGIN))

#define MAP_KIND 0xfu
#define FLAGS_KNOWN                                                                                                    \
	((uint32_t)(MAP_KIND | MAP_FIXED | MAP_ANONYMOUS | MAP_32BIT | MAP_GROWSDOWN | MAP_DENYWRITE |                 \
		    MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_STACK | MAP_HUGETLB) |            \
	 0x3fu << MAP_HUGE_SHIFT)

#define ADVICE(n) (1ull << (n))
/* Advice that may be given again; others, such as MADV_DONTNEED, would destroy what was restored. */
#define ADVICE_KNOWN                                                                                                   \
	(ADVICE(MADV_NORMAL) | ADVICE(MADV_RANDOM) | ADVICE(MADV_SEQUENTIAL) | ADVICE(MADV_DONTFORK) |                 \
	 ADVICE(MADV_DOFORK) | ADVICE(MADV_MERGEABLE) | ADVICE(MADV_UNMERGEABLE) | ADVICE(MADV_HUGEPAGE) |             \
	 ADVICE(MADV_NOHUGEPAGE) | ADVICE(MADV_DONTDUMP) | ADVICE(MADV_DODUMP) | ADVICE(MADV_WIPEONFORK) |             \
	 ADVICE(MADV_KEEPONFORK))

static int bad_vma(const VmaEntry *vma, const struct check_place *at, const char *what)
{
	return check_bad(at, "mapping 0x%" PRIx64 "-0x%" PRIx64 ": %s", vma->start, vma->end, what);
}

static int check_vma_range(const VmaEntry *vma, const struct check_place *at)
{
	if (!is_page_aligned(vma->start) || !is_page_aligned(vma->end))
		return bad_vma(vma, at, "not at page boundaries");
	if (vma->start >= vma->end)
		return bad_vma(vma, at, "its end is not behind its start");
	if (vma->status & VMA_VSYSCALL) {
		if (vma->start != VSYSCALL_ADDRESS || vma->end != VSYSCALL_ADDRESS + PAGE_BYTES)
			return bad_vma(vma, at, "not where the vsyscall page is");
	} else if (vma->end > VMA_TASK_SIZE) {
		return bad_vma(vma, at, "above the addresses of a program");
	}
	if (!is_page_aligned(vma->pgoff) || vma->pgoff > INT64_MAX - (vma->end - vma->start))
		return bad_vma(vma, at, "its offset is out of range");
	return 0;
}

static int check_vma_bits(const VmaEntry *vma, const struct check_place *at)
{
	uint32_t kind = vma->flags & MAP_KIND, backing = vma->status & STATUS_BACKING;

	if (vma->status & ~STATUS_KNOWN)
		return bad_vma(vma, at, "unknown status bits");
	if (vma->prot & ~(uint32_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
		return bad_vma(vma, at, "unknown protection bits");
	if (vma->flags & ~FLAGS_KNOWN)
		return bad_vma(vma, at, "unknown flags");
	if (vma->has_madv && vma->madv & ~ADVICE_KNOWN)
		return bad_vma(vma, at, "unknown advice");
	if (vma->policy && !vma->policy->mode)
		return bad_vma(vma, at, "a NUMA policy that is none");
	if (vma->policy && !is_numa_mode(vma->policy->mode))
		return bad_vma(vma, at, "a NUMA policy that is not known");
	if (vma->has_protection_key && vma->protection_key >= PROTECTION_KEYS)
		return bad_vma(vma, at, "under a protection key that does not exist");
	if (__builtin_popcount(backing) > 1)
		return bad_vma(vma, at, "backed in two ways");
	if (backing == 0 && !(vma->status & STATUS_SPECIAL) && kind != VMA_MAP_DROPPABLE)
		return bad_vma(vma, at, "does not say how it is backed");
	if (vma->status & (VMA_GUARD | VMA_PLUGIN))
		return 0;
	if (kind != MAP_SHARED && kind != MAP_PRIVATE && kind != MAP_SHARED_VALIDATE && kind != VMA_MAP_DROPPABLE)
		return bad_vma(vma, at, "neither shared nor private");
	if (kind == MAP_PRIVATE && backing & (VMA_FILE_SHARED | VMA_ANON_SHARED))
		return bad_vma(vma, at, "private by its flags, shared by its status");
	if ((kind == MAP_SHARED || kind == MAP_SHARED_VALIDATE) && backing & (VMA_FILE_PRIVATE | VMA_ANON_PRIVATE))
		return bad_vma(vma, at, "shared by its flags, private by its status");
	return 0;
}

/* Old sets do not say how the file must be open. */
static void fill_fdflags(VmaEntry *vma)
{
	if (vma->has_fdflags)
		return;
	vma->has_fdflags = true;
	vma->fdflags = vma->status & VMA_FILE_SHARED && vma->prot & PROT_WRITE ? O_RDWR : O_RDONLY;
}

static int check_vma_file(const struct checked_set *cs, VmaEntry *vma, const struct check_place *at)
{
	FdTypes type = FD_TYPES__REG;

	if (vma->status & VMA_PLUGIN)
		return 0;
	if (vma->status & VMA_MEMFD && !(vma->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED)))
		return bad_vma(vma, at, "a mapping of a memfd that maps no file");
	if (vma->status & VMA_MEMFD)
		type = FD_TYPES__MEMFD;
	else if (vma->status & VMA_SOCKET)
		type = FD_TYPES__PACKETSK;
	else if (!(vma->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED)))
		return 0;
	if (type == FD_TYPES__REG && vma->shmid <= UINT32_MAX && vma->status & VMA_FILE_SHARED &&
	    checked_set_find_typed_file(cs, FD_TYPES__IO_URING, (uint32_t)vma->shmid))
		return 0;
	if (vma->shmid > UINT32_MAX || !checked_set_find_typed_file(cs, type, (uint32_t)vma->shmid))
		return check_bad(at, "mapping 0x%" PRIx64 "-0x%" PRIx64 ": file %" PRIu64 " is not there%s", vma->start,
				 vma->end, vma->shmid, type == FD_TYPES__MEMFD ? " as a memfd" : "");
	fill_fdflags(vma);
	if ((vma->fdflags & O_ACCMODE) != O_RDONLY && (vma->fdflags & O_ACCMODE) != O_RDWR)
		return bad_vma(vma, at, "of a file that cannot be read");
	return 0;
}

static int check_vma(const struct checked_set *cs, VmaEntry *vma, const struct check_place *at)
{
	int r;

	vma->status &= ~(uint32_t)VMA_IGNORED;
	r = check_vma_range(vma, at);
	if (r == 0)
		r = check_vma_bits(vma, at);
	return r < 0 ? r : check_vma_file(cs, vma, at);
}

/* How many entries of the list are mappings; guard ranges come behind them. */
static size_t mapping_count(const MmEntry *mm)
{
	size_t count = mm->n_vmas;

	while (count > 0 && mm->vmas[count - 1]->status & VMA_GUARD)
		count--;
	return count;
}

/* The first mapping that ends above the address; the number of mappings when there is none. */
static size_t find_vma(const MmEntry *mm, size_t mappings, uint64_t address)
{
	size_t low = 0, high = mappings;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mm->vmas[middle]->end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_any(const VmaEntry *vma)
{
	return true;
}

/* Whether mappings that fit cover the whole range, without a hole. */
static bool is_covered(const MmEntry *mm, size_t mappings, uint64_t start, uint64_t end,
		       bool (*fits)(const VmaEntry *vma))
{
	for (size_t i = find_vma(mm, mappings, start); start < end; i++) {
		if (i >= mappings || mm->vmas[i]->start > start || !fits(mm->vmas[i]))
			return false;
		start = mm->vmas[i]->end;
	}
	return true;
}

static int check_order(const MmEntry *mm, size_t mappings, const struct check_place *at)
{
	for (size_t i = 0; i < mappings; i++) {
		if (mm->vmas[i]->status & VMA_GUARD)
			return bad_vma(mm->vmas[i], at, "a guard range among the mappings");
		if (i > 0 && mm->vmas[i]->start < mm->vmas[i - 1]->end)
			return bad_vma(mm->vmas[i], at, "overlaps the one before");
	}
	for (size_t i = mappings; i < mm->n_vmas; i++) {
		if (!is_covered(mm, mappings, mm->vmas[i]->start, mm->vmas[i]->end, is_any))
			return bad_vma(mm->vmas[i], at, "a guard range outside of mappings");
	}
	return 0;
}

static int check_aios(const MmEntry *mm, size_t mappings, const struct check_place *at)
{
	size_t rings = 0;

	for (size_t i = 0; i < mappings; i++)
		rings += !!(mm->vmas[i]->status & VMA_AIORING);
	for (size_t i = 0; i < mm->n_aios; i++) {
		const AioRingEntry *aio = mm->aios[i];
		size_t at_vma = find_vma(mm, mappings, aio->id);
		const VmaEntry *vma = at_vma < mappings ? mm->vmas[at_vma] : NULL;

		if (!vma || vma->start != aio->id || !(vma->status & VMA_AIORING) ||
		    vma->end - vma->start != aio->ring_len)
			return check_bad(at, "AIO ring 0x%" PRIx64 " has no mapping", aio->id);
		if (aio->nr_req > aio->ring_len / AIO_EVENT_BYTES)
			return check_bad(at, "AIO ring 0x%" PRIx64 " has no room for %u requests", aio->id,
					 aio->nr_req);
		if (i > 0 && mm->aios[i - 1]->id >= aio->id)
			return check_bad(at, "AIO rings are not in order");
	}
	return rings == mm->n_aios ? 0 : check_bad(at, "%zu mappings of AIO rings, %zu rings", rings, mm->n_aios);
}

static int check_bounds(const MmEntry *mm, const struct check_place *at)
{
	const struct {
		uint64_t start, end;
		const char *name;
	} bounds[] = {
		{ mm->mm_start_code, mm->mm_end_code, "code" },
		{ mm->mm_start_data, mm->mm_end_data, "data" },
		{ mm->mm_start_brk, mm->mm_brk, "brk" },
		{ mm->mm_arg_start, mm->mm_arg_end, "arguments" },
		{ mm->mm_env_start, mm->mm_env_end, "environment" },
		{ mm->mm_start_stack, mm->mm_start_stack, "stack" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		if (bounds[i].start > bounds[i].end || bounds[i].end >= VMA_TASK_SIZE)
			return check_bad(at, "the bounds of %s are out of range", bounds[i].name);
	}
	if (mm->n_mm_saved_auxv > AUXV_WORDS_MAX || mm->n_mm_saved_auxv % 2)
		return check_bad(at, "an auxiliary vector of %zu words", mm->n_mm_saved_auxv);
	if (mm->has_protection_keys && mm->protection_keys >> PROTECTION_KEYS)
		return check_bad(at, "protection keys 0x%x that do not exist", mm->protection_keys);
	if (mm->has_execute_only_key && (!mm->execute_only_key || mm->execute_only_key >= PROTECTION_KEYS ||
					 !mm->has_protection_keys || mm->protection_keys & 1u << mm->execute_only_key))
		return check_bad(at, "protection key %u cannot be the kernel's", mm->execute_only_key);
	if (mm->has_dumpable && (mm->dumpable < 0 || mm->dumpable > 2))
		return check_bad(at, "dumpable %d is out of range", mm->dumpable);
	return 0;
}

static int check_pages(const struct pagemap *map, const MmEntry *mm, size_t mappings)
{
	for (size_t i = 0; i < map->run_count; i++) {
		const struct page_run *run = &map->runs[i];

		if (!is_covered(mm, mappings, run->vaddr, run->vaddr + run->nr_pages * PAGE_BYTES,
				vma_has_private_pages))
			return -EBADMSG;
	}
	return 0;
}

static int load_pagemap(struct checked_set *cs, struct checked_task *task, size_t mappings, struct error *err)
{
	const struct check_place at = { IMAGE_PAGEMAP, task->entry->pid, err };
	int r = pagemap_load(cs->set, IMAGE_PAGEMAP, task->entry->pid, &task->pagemap, err);

	if (r == -ENOENT && !error_is_set(err))
		return error_say(err, -EBADMSG, "pagemap-%u.img is missing", task->entry->pid);
	if (r == 0 && check_pages(task->pagemap, task->mm, mappings) < 0)
		return check_bad(&at, "holds pages outside of private mappings");
	return r;
}

static int check_task_mm(struct checked_set *cs, struct checked_task *task, struct error *err)
{
	const struct check_place at = { IMAGE_MM, task->entry->pid, err };
	size_t mappings;
	MmEntry *mm;
	int r = image_read_required(cs->set, IMAGE_MM, task->entry->pid, &mm_entry__descriptor, &task->mm, err);

	if (r < 0)
		return r;
	mm = task->mm;
	if (mm->n_vmas == 0)
		r = load_old_vmas(cs, task, err);
	if (r < 0)
		return r;
	if (mm->n_vmas == 0)
		return check_bad(&at, "holds no mapping");
	if (!checked_set_find_typed_file(cs, FD_TYPES__REG, mm->exe_file_id))
		return check_bad(&at, "the executable, file %u, is not there", mm->exe_file_id);
	for (size_t i = 0; i < mm->n_vmas && r == 0; i++)
		r = check_vma(cs, mm->vmas[i], &at);
	mappings = mapping_count(mm);
	if (r == 0)
		r = check_order(mm, mappings, &at);
	if (r == 0)
		r = check_aios(mm, mappings, &at);
	if (r == 0)
		r = check_bounds(mm, &at);
	return r < 0 ? r : load_pagemap(cs, task, mappings, err);
}

int check_mm(struct checked_set *cs, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < cs->task_count && r == 0; i++) {
		if (!cs->tasks[i].is_zombie && !cs->tasks[i].vfork_child)
			r = check_task_mm(cs, &cs->tasks[i], err);
	}
	return r;
}

static int add_shmem(struct checked_set *cs, size_t *capacity, struct checked_shmem shmem, struct error *err)
{
	int r = array_reserve(&cs->shmems, capacity, cs->shmem_count, sizeof(*cs->shmems));

	if (r < 0)
		return error_set(err, r, "check shared memory");
	cs->shmems[cs->shmem_count++] = shmem;
	return 0;
}

/* Once for every inode and every mapping; they are brought together afterwards. */
static int collect_shmems(struct checked_set *cs, struct error *err)
{
	size_t capacity = 0;
	int r = 0;

	for (size_t i = 0; i < cs->memfd_inode_count && r == 0; i++) {
		MemfdInodeEntry *inode = cs->memfd_inodes[i];

		r = add_shmem(cs, &capacity,
			      (struct checked_shmem){ .shmid = inode->shmid, .bytes = inode->size, .inode = inode },
			      err);
	}
	for (size_t i = 0; i < cs->task_count; i++) {
		const MmEntry *mm = cs->tasks[i].mm;

		for (size_t k = 0; mm && k < mm->n_vmas && r == 0; k++) {
			const VmaEntry *vma = mm->vmas[k];

			if (vma->status & VMA_ANON_SHARED)
				r = add_shmem(cs, &capacity,
					      (struct checked_shmem){ .shmid = vma->shmid,
								      .bytes = vma->pgoff + (vma->end - vma->start) },
					      err);
		}
	}
	return r;
}

/* Ascending shmid, an inode before mappings. */
static int compare_shmems(const void *a, const void *b)
{
	const struct checked_shmem *left = a, *right = b;

	if (left->shmid != right->shmid)
		return left->shmid < right->shmid ? -1 : 1;
	return (left->inode == NULL) - (right->inode == NULL);
}

static int merge_shmems(struct checked_set *cs, struct error *err)
{
	const struct check_place at = { IMAGE_MEMFD, 0, err };
	size_t unique = 0;

	if (cs->shmem_count)
		qsort(cs->shmems, cs->shmem_count, sizeof(*cs->shmems), compare_shmems);
	for (size_t i = 0; i < cs->shmem_count; i++) {
		struct checked_shmem *last = unique ? &cs->shmems[unique - 1] : NULL;

		if (!last || last->shmid != cs->shmems[i].shmid) {
			cs->shmems[unique++] = cs->shmems[i];
			continue;
		}
		if (last->inode)
			return check_bad(&at, "shared memory %" PRIu64 " has two descriptions", last->shmid);
		last->bytes = max_u64(last->bytes, cs->shmems[i].bytes);
	}
	cs->shmem_count = unique;
	return 0;
}

/* Beyond the end of an inode there are no pages; of a segment only a part may be mapped. */
static int check_shmem(struct checked_set *cs, struct checked_shmem *shmem, struct error *err)
{
	const struct check_place at = { IMAGE_PAGEMAP_SHMEM, shmem->shmid, err };
	const struct page_run *last;
	uint64_t end;
	int r = pagemap_load(cs->set, IMAGE_PAGEMAP_SHMEM, shmem->shmid, &shmem->pagemap, err);

	if (r == -ENOENT && !error_is_set(err))
		return 0;
	if (r < 0 || shmem->pagemap->run_count == 0)
		return r;
	last = &shmem->pagemap->runs[shmem->pagemap->run_count - 1];
	end = last->vaddr + last->nr_pages * PAGE_BYTES;
	if (end > INT64_MAX || (shmem->inode && end > page_align_up(shmem->bytes)))
		return check_bad(&at, "holds pages beyond the end of the memory");
	if (!shmem->inode)
		shmem->bytes = max_u64(shmem->bytes, end);
	return 0;
}

int check_shmems(struct checked_set *cs, struct error *err)
{
	int r = collect_shmems(cs, err);

	if (r == 0)
		r = merge_shmems(cs, err);
	for (size_t i = 0; i < cs->shmem_count && r == 0; i++)
		r = check_shmem(cs, &cs->shmems[i], err);
	return r;
}
