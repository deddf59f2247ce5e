/*
 * Each mapping of the image becomes one mmap(2) at its final place; nothing is moved afterwards. Contents are described
 * as stretches of a pages file, each spread over as many ranges as one preadv(2) takes: a task with scattered pages
 * needs few calls, however many mappings they are in. Pages nobody wrote are never touched.
 */
#include "mm/restore-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/restore.h"
#include "files/files.h"
#include "files/io-uring.h"
#include "image/image-read.h"
#include "image/vma-status.h"
#include "kernel/features.h"
#include "kernel/missing-mman.h"
#include "mm/aio.h"
#include "mm/protection-keys.h"
#include "mm/restore-area.h"
#include "mm/restore-shmem.h"
#include "mm/vdso.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define LOWEST_ADDRESS 0x10000ull /* vm.mmap_min_addr in most places: below it nothing is mapped */
#define HUGE_SIZE_MASK (0x3fu << MAP_HUGE_SHIFT)
#define FLAGS_PASSED   ((uint32_t)(MAP_GROWSDOWN | MAP_NORESERVE | MAP_HUGETLB) | HUGE_SIZE_MASK)
#define ADVICE_BIT(n)  (UINT64_C(1) << (n))
#define ADVICE_KNOWN                                                                                                   \
	(ADVICE_BIT(MADV_SEQUENTIAL) | ADVICE_BIT(MADV_RANDOM) | ADVICE_BIT(MADV_DONTFORK) |                           \
	 ADVICE_BIT(MADV_DONTDUMP) | ADVICE_BIT(MADV_MERGEABLE) | ADVICE_BIT(MADV_HUGEPAGE) |                          \
	 ADVICE_BIT(MADV_NOHUGEPAGE) | ADVICE_BIT(MADV_WIPEONFORK))

enum mapped_kind {
	MAPPED_FILE,  /* id: of the file in files.img */
	MAPPED_INODE, /* id: of a memfd inode */
	MAPPED_SHMEM, /* id: shmid */
	MAPPED_PAGES, /* source's pages file */
	MAPPED_RINGS, /* id: of the io_uring in files.img */
};

struct mapped_file {
	enum mapped_kind kind;
	uint64_t id;
	uint32_t flags; /* O_RDONLY ... */
	struct pagemap *source;
};

static const struct {
	uint32_t status;
	const char *what;
} refused_areas[] = {
	{ VMA_SHSTK, "a shadow stack" },
	{ VMA_SOCKET, "the ring of a packet socket" },
	{ VMA_SYSVIPC, "a System V shared memory segment" },
	{ VMA_PLUGIN, "memory of a device that a plugin has to restore" },
	{ VMA_UPROBES, "a page of kernel uprobes" },
};

static bool is_skipped(const VmaEntry *vma)
{
	return vma->status & (VMA_VSYSCALL | VMA_VVAR) || vma->start >= VMA_TASK_SIZE;
}

int restore_memory_check(const struct restore *r, const struct checked_task *task, struct error *err)
{
	for (size_t i = 0; task->mm && i < task->mm->n_vmas; i++) {
		const VmaEntry *vma = task->mm->vmas[i];

		for (size_t k = 0; k < ARRAY_SIZE(refused_areas); k++) {
			if (!(vma->status & refused_areas[k].status))
				continue;
			if (vma->status & VMA_UPROBES && r->opts->allow_uprobes)
				continue;
			return error_say(err, -EOPNOTSUPP, "pid %u, mapping %llx-%llx: %s cannot be restored",
					 task->entry->pid, (unsigned long long)vma->start, (unsigned long long)vma->end,
					 refused_areas[k].what);
		}
	}
	for (size_t i = 0; task->pagemap && i < task->pagemap->extent_count; i++)
		if (!task->pagemap->extents[i].source)
			return error_say(err, -EOPNOTSUPP,
					 "pid %u: pages at 0x%llx were left at the source (a lazy dump), which is not "
					 "supported",
					 task->entry->pid, (unsigned long long)task->pagemap->extents[i].vaddr);
	if (protection_keys_check(task, err) < 0)
		return err->code;
	return aio_check(task, err);
}

static uint64_t piece_limit(const struct checked_task *task)
{
	return task->mm->n_vmas + (task->pagemap ? task->pagemap->extent_count : 0) + 1;
}

static uint64_t file_limit(const struct checked_task *task)
{
	uint64_t sets = 1;

	for (const struct pagemap *map = task->pagemap; map; map = map->parent)
		sets++;
	return task->mm->n_vmas + sets + 1;
}

uint64_t restore_memory_room(const struct checked_task *task)
{
	uint64_t pieces = piece_limit(task);

	return area_room(task->mm->n_vmas, sizeof(struct restorer_vma)) +
	       area_room(task->mm->n_vmas + 3, sizeof(struct restorer_range)) +
	       area_room(task->mm->n_vmas, sizeof(struct restorer_range)) +
	       2 * area_room(pieces, sizeof(struct restorer_iovec)) +
	       2 * area_room(pieces, sizeof(struct restorer_read)) + area_room(file_limit(task), sizeof(int32_t)) +
	       area_room(task->mm->n_mm_saved_auxv, sizeof(uint64_t)) + aio_room(task) +
	       area_room(VDSO_JUMP_LIMIT, sizeof(struct restorer_jump));
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static bool is_same_file(const struct mapped_file *a, const struct mapped_file *b)
{
	return a->kind == b->kind && a->id == b->id && a->flags == b->flags && a->source == b->source;
}

static int add_file(struct restore_task *task, const struct mapped_file *file)
{
	struct restorer_task *restorer = task->restorer;

	/* Mappings of one file are neighbours: look at the newest first. */
	for (uint64_t i = restorer->file_count; i-- > 0;)
		if (is_same_file(&task->mapped[i], file))
			return (int)i;
	task->mapped[restorer->file_count] = *file;
	restorer->files[restorer->file_count] = -1;
	return (int)restorer->file_count++;
}

static uint32_t mapping_open_flags(const VmaEntry *vma)
{
	if (vma->has_fdflags)
		return vma->fdflags;
	return vma->status & VMA_FILE_SHARED && vma->prot & PROT_WRITE ? O_RDWR : O_RDONLY;
}

static int add_memfd(const struct restore *r, struct restore_task *task, const VmaEntry *vma, struct error *err)
{
	const struct checked_file *file = checked_set_find_typed_file(r->images, FD_TYPES__MEMFD, (uint32_t)vma->shmid);
	struct mapped_file mapped = { .kind = MAPPED_INODE, .flags = mapping_open_flags(vma) & O_ACCMODE };

	if (!file || !file->entry->memfd)
		return error_say(err, -EBADMSG, "mapping %llx-%llx: file %llu is no memfd",
				 (unsigned long long)vma->start, (unsigned long long)vma->end,
				 (unsigned long long)vma->shmid);
	mapped.id = file->entry->memfd->inode_id;
	/* A mapping that could be made writable stands in the way of the seal. */
	if (shmem_is_write_sealed(r, mapped.id))
		mapped.flags = O_RDONLY;
	return add_file(task, &mapped);
}

static bool is_io_uring(const struct restore *r, const VmaEntry *vma)
{
	return vma->status & VMA_FILE_SHARED && !(vma->status & VMA_MEMFD) &&
	       checked_set_find_typed_file(r->images, FD_TYPES__IO_URING, (uint32_t)vma->shmid);
}

/* Index of the file a mapping needs, -1 for anonymous memory. */
static int find_file(const struct restore *r, struct restore_task *task, const VmaEntry *vma, int *ret_file,
		     struct error *err)
{
	struct mapped_file file = { .kind = MAPPED_FILE, .id = vma->shmid, .flags = mapping_open_flags(vma) };
	int index = -1;

	if (vma->status & VMA_MEMFD) {
		index = add_memfd(r, task, vma, err);
		if (index < 0)
			return index;
	} else if (vma->status & VMA_ANON_SHARED) {
		file.kind = MAPPED_SHMEM;
		file.flags = O_RDWR;
		index = add_file(task, &file);
	} else if (vma->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED)) {
		if (is_io_uring(r, vma))
			file.kind = MAPPED_RINGS;
		index = add_file(task, &file);
	}
	*ret_file = index;
	return 0;
}

static int open_file(struct restore *r, struct restore_task *task, struct mapped_file *file, int *ret_fd,
		     struct error *err)
{
	uint64_t bytes;

	switch (file->kind) {
	case MAPPED_FILE:
		return files_open_for_mapping(r, task, (uint32_t)file->id, file->flags, ret_fd, err);
	case MAPPED_INODE:
		if ((file->flags & O_ACCMODE) == O_RDWR)
			return shmem_share_fd(r, file->id, ret_fd, err);
		return shmem_open_fd(r, file->id, (int)file->flags, ret_fd, err);
	case MAPPED_SHMEM:
		return shmem_open_shmid(r, file->id, (int)file->flags, ret_fd, err);
	case MAPPED_RINGS:
		return io_uring_open_for_mapping(r, task, (uint32_t)file->id, ret_fd, err);
	case MAPPED_PAGES:
		return image_open_raw(file->source->set, IMAGE_PAGES, file->source->pages_id, O_RDONLY, ret_fd, &bytes,
				      err);
	}
	return error_say(err, -EINVAL, "file of unknown kind");
}

int restore_memory_open(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *restorer = task->restorer;

	for (uint64_t i = 0; i < restorer->file_count; i++) {
		int fd, result = open_file(r, task, &task->mapped[i], &fd, err);

		if (result < 0)
			return result;
		restorer->files[i] = fd;
	}
	return 0;
}

/* Index into the creator's files, negative when it has no such file. */
static int find_inherited(const struct restore_task *creator, const struct mapped_file *file)
{
	for (uint64_t i = 0; i < creator->restorer->file_count; i++)
		if (is_same_file(&creator->mapped[i], file))
			return (int)i;
	return -ENOENT;
}

/* A pages file of this set can be opened by its name. */
static bool is_own_pages(const struct restore *r, const struct mapped_file *file)
{
	return file->kind == MAPPED_PAGES && file->source->set == r->set;
}

bool restore_memory_can_inherit(const struct restore *r, const struct restore_task *task,
				const struct restore_task *creator)
{
	int opened = 0;

	for (uint64_t i = 0; i < task->restorer->file_count; i++) {
		if (find_inherited(creator, &task->mapped[i]) >= 0)
			continue;
		if (!is_own_pages(r, &task->mapped[i]) || ++opened > 1)
			return false;
	}
	return true;
}

void restore_memory_inherit(const struct restore *r, struct restore_task *task, const struct restore_task *creator)
{
	struct restorer_task *restorer = task->restorer;

	_Static_assert(sizeof(restorer->pages_name) == IMAGE_NAME_MAX, "border");
	for (uint64_t i = 0; i < restorer->file_count; i++) {
		const struct mapped_file *file = &task->mapped[i];

		restorer->files[i] = find_inherited(creator, file);
		if (restorer->files[i] >= 0 || !is_own_pages(r, file))
			continue;
		restorer->pages_file = (int32_t)i;
		image_name(IMAGE_PAGES, file->source->pages_id, restorer->pages_name);
	}
}

int restore_memory_pages_fd(struct restore_task *task, int file, struct error *err)
{
	return pagemap_pages_fd(task->mapped[file].source, O_RDONLY, err);
}

/* --- mappings ---------------------------------------------------------------------------------------------------- */

static uint32_t map_type(const VmaEntry *vma)
{
	if ((vma->flags & 0xfu) == VMA_MAP_DROPPABLE)
		return MAP_DROPPABLE | MAP_ANONYMOUS;
	if (vma->status & (VMA_FILE_SHARED | VMA_ANON_SHARED))
		return MAP_SHARED;
	return vma->status & VMA_FILE_PRIVATE ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS;
}

static uint64_t advice_of(const VmaEntry *vma)
{
	uint64_t advice = vma->has_madv ? vma->madv & ADVICE_KNOWN : 0;

	/* A droppable mapping comes with these. */
	if ((vma->flags & 0xfu) == VMA_MAP_DROPPABLE)
		advice &= ~(ADVICE_BIT(MADV_DONTDUMP) | ADVICE_BIT(MADV_WIPEONFORK));
	return advice;
}

static int plan_vma(const struct restore *r, struct restore_task *task, const VmaEntry *vma, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	struct restorer_vma *out = &restorer->vmas[restorer->vma_count];
	int result;

	*out = (struct restorer_vma){
		.start = vma->start,
		.end = vma->end,
		.offset = vma->pgoff,
		.advice = advice_of(vma),
		.map_flags = MAP_FIXED_NOREPLACE | map_type(vma) | (vma->flags & FLAGS_PASSED),
		.map_prot = vma->prot,
		.prot = vma->prot,
		.policy_mode = vma->policy ? vma->policy->mode : 0,
		.policy_nodes = vma->policy && vma->policy->has_nodes ? vma->policy->nodes : 0,
		.home_node = vma->policy && vma->policy->has_home_node ? vma->policy->home_node : 0,
		.key = vma->has_protection_key ? vma->protection_key : 0,
	};
	result = find_file(r, task, vma, &out->file, err);
	if (result < 0)
		return result;
	if (out->file >= 0)
		out->map_flags &= ~((uint32_t)MAP_HUGETLB | HUGE_SIZE_MASK);
	if (vma->flags & MAP_LOCKED)
		out->flags |= RESTORER_VMA_LOCK | (vma->prot == PROT_NONE ? RESTORER_VMA_LOCK_QUIET : 0);
	if (vma->has_lock_on_fault && vma->lock_on_fault)
		out->flags |= RESTORER_VMA_LOCK_ON_FAULT;
	if (vma->policy && vma->policy->has_home_node)
		out->flags |= RESTORER_VMA_HOME_NODE;
	if (vma->has_sealed && vma->sealed)
		out->flags |= RESTORER_VMA_SEAL;
	if (vma->status & VMA_AIORING) {
		/* What is mapped first only keeps the place. */
		out->flags |= RESTORER_VMA_AIO;
		out->map_flags = MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
		out->map_prot = PROT_READ | PROT_WRITE;
	}
	if (is_io_uring(r, vma)) {
		out->flags |= RESTORER_VMA_RING;
		out->map_flags = MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
		restorer->ring_count++;
	}
	restorer->vma_count++;
	return 0;
}

static int plan_vmas(const struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	const MmEntry *mm = task->image->mm;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *vma = mm->vmas[i];
		int result = 0;

		if (vma->status & VMA_GUARD)
			restorer->guards[restorer->guard_count++] = (struct restorer_range){ vma->start, vma->end };
		else if (!is_skipped(vma) && !(vma->status & VMA_UPROBES) &&
			 !(vma->status & VMA_VDSO && restorer->vdso == VDSO_SAME))
			result = plan_vma(r, task, vma, err);
		if (result < 0)
			return result;
	}
	return 0;
}

/*
 * The kernel maps rings where it likes. It likes the only place that is free, so the restorer fills all others for a
 * moment.
 */
static int compare_ranges(const void *a, const void *b)
{
	const struct restorer_range *left = a, *right = b;

	return (left->start > right->start) - (left->start < right->start);
}

static struct restorer_range vdso_that_stays(const struct restore *r, const struct restorer_task *restorer)
{
	const uint64_t bytes = page_align_up(r->vdso.data_bytes + r->vdso.code_bytes);
	struct restorer_range range = { restorer->vdso_map_at, restorer->vdso_map_at + bytes };

	if (restorer->vdso_unmap.start == range.start)
		range.start = restorer->vdso_unmap.end;
	else if (restorer->vdso_unmap.end == range.end)
		range.end = restorer->vdso_unmap.start;
	return range;
}

static int plan_gaps(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	AUTO_FREE struct restorer_range *taken = calloc(restorer->vma_count + 3, sizeof(*taken));
	uint64_t at = LOWEST_ADDRESS, count = 0;

	if (!restorer->ring_count)
		return 0;
	restorer->gaps = area_alloc(r, (restorer->vma_count + 3) * sizeof(*restorer->gaps));
	if (!taken || !restorer->gaps)
		return error_set(err, -ENOMEM, "list of mappings");
	for (uint64_t i = 0; i < restorer->vma_count; i++)
		taken[count++] = (struct restorer_range){ restorer->vmas[i].start, restorer->vmas[i].end };
	taken[count++] = (struct restorer_range){ r->area->start, r->area->start + r->area->bytes };
	if (restorer->vdso != VDSO_NONE)
		taken[count++] = vdso_that_stays(r, restorer);
	qsort(taken, count, sizeof(*taken), compare_ranges);
	taken[count++] = (struct restorer_range){ VMA_TASK_SIZE, VMA_TASK_SIZE };
	for (uint64_t i = 0; i < count; i++) {
		if (taken[i].start > at)
			restorer->gaps[restorer->gap_count++] = (struct restorer_range){ at, taken[i].start };
		at = max_u64(at, taken[i].end);
	}
	return 0;
}

/* --- contents ---------------------------------------------------------------------------------------------------- */

static bool is_large_candidate(const struct restorer_vma *vma)
{
	const uint32_t plain = MAP_PRIVATE | MAP_ANONYMOUS;

	return vma->file < 0 && !(vma->flags & (RESTORER_VMA_AIO | RESTORER_VMA_RING)) &&
	       (vma->map_flags & (plain | MAP_HUGETLB)) == plain && !(vma->advice & ADVICE_BIT(MADV_HUGEPAGE));
}

struct read_list {
	struct restorer_read *reads;
	uint64_t read_count;
	struct restorer_iovec *iov;
	uint64_t iov_count;
	uint64_t end; /* offset behind the last read */
};

/* joins: one range may go on where the last one ended. */
static void add_to_list(struct read_list *list, uint64_t address, uint64_t bytes, int file, uint64_t offset, bool joins)
{
	struct restorer_read *last = list->read_count ? &list->reads[list->read_count - 1] : NULL;
	struct restorer_iovec *iov = list->iov_count ? &list->iov[list->iov_count - 1] : NULL;

	if (last && last->file == file && list->end == offset) {
		list->end += bytes;
		if (joins && iov->base + iov->bytes == address) {
			iov->bytes += bytes;
			return;
		}
		if (last->iov_count < RESTORER_IOV_LIMIT) {
			list->iov[list->iov_count++] = (struct restorer_iovec){ address, bytes };
			last->iov_count++;
			return;
		}
	}
	list->iov[list->iov_count] = (struct restorer_iovec){ address, bytes };
	list->reads[list->read_count++] = (struct restorer_read){
		.iov = &list->iov[list->iov_count++], .iov_count = 1, .offset = offset, .file = file
	};
	list->end = offset + bytes;
}

/* Pages of the vdso that the kernel makes itself lie in no planned mapping. */
static bool is_left_out(const struct checked_task *task, uint64_t address)
{
	for (size_t i = 0; i < task->mm->n_vmas; i++) {
		const VmaEntry *vma = task->mm->vmas[i];

		if (vma->status & (VMA_VDSO | VMA_VVAR) && address >= vma->start && address < vma->end)
			return true;
	}
	return false;
}

static int add_extent(struct restore *r, struct restore_task *task, const struct page_extent *extent, uint64_t *ret_vma,
		      struct read_list lists[2], struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	const struct mapped_file pages = { .kind = MAPPED_PAGES, .source = extent->source };
	uint64_t end = extent->vaddr + extent->nr_pages * PAGE_BYTES, at = extent->vaddr;
	int file = add_file(task, &pages);

	while (at < end) {
		struct restorer_vma *vma = &restorer->vmas[*ret_vma];
		bool is_filled;
		uint64_t to;

		if (*ret_vma == restorer->vma_count || at < vma->start) {
			if (!is_left_out(task->image, at))
				return error_say(err, -EBADMSG, "%s: pages at 0x%llx are in no mapping",
						 task->image->pagemap->name, (unsigned long long)at);
			at += PAGE_BYTES;
			continue;
		}
		if (at >= vma->end) {
			(*ret_vma)++;
			continue;
		}
		if (!(vma->map_flags & MAP_PRIVATE))
			return error_say(err, -EBADMSG, "%s: pages at 0x%llx are in a mapping that has none of its own",
					 task->image->pagemap->name, (unsigned long long)at);
		to = min_u64(end, vma->end);
		vma->map_prot |= PROT_WRITE;
		/* UFFDIO_COPY does not go from one mapping into the next. */
		is_filled = vma->flags & RESTORER_VMA_FILL;
		add_to_list(&lists[is_filled ? 1 : 0], at, to - at, file, extent->offset + (at - extent->vaddr),
			    !is_filled || at != vma->start);
		r->pages_restored += (to - at) / PAGE_BYTES;
		at = to;
	}
	return 0;
}

/* How many bytes of contents each mapping has. */
static void count_contents(const struct restore_task *task, uint64_t *bytes)
{
	const struct restorer_task *restorer = task->restorer;
	const struct pagemap *map = task->image->pagemap;
	uint64_t i = 0;

	for (size_t k = 0; k < map->extent_count; k++) {
		const struct page_extent *extent = &map->extents[k];
		const uint64_t end = extent->vaddr + extent->nr_pages * PAGE_BYTES;

		for (uint64_t at = extent->vaddr; at < end;) {
			uint64_t to;

			while (i < restorer->vma_count && restorer->vmas[i].end <= at)
				i++;
			if (i == restorer->vma_count || restorer->vmas[i].start >= end)
				break;
			at = max_u64(at, restorer->vmas[i].start);
			to = min_u64(end, restorer->vmas[i].end);
			bytes[i] += to - at;
			at = to;
		}
	}
}

/*
 * Filling from outside costs some system calls for each mapping, so that the many small ones of a task, such as stacks
 * of threads, are read by the task itself, all at once.
 */
static int choose_filled(struct restore_task *task, bool *ret_any)
{
	struct restorer_task *restorer = task->restorer;
	AUTO_FREE uint64_t *bytes = calloc(restorer->vma_count + 1, sizeof(*bytes));
	uint64_t sum = 0;

	if (!bytes)
		return -ENOMEM;
	count_contents(task, bytes);
	for (uint64_t i = 0; i < restorer->vma_count; i++) {
		if (!is_large_candidate(&restorer->vmas[i]) || bytes[i] < LARGE_MAPPING_BYTES)
			bytes[i] = 0;
		sum += bytes[i];
	}
	*ret_any = sum >= LARGE_MEMORY_BYTES && !feature_is_masked("uffd");
	for (uint64_t i = 0; *ret_any && i < restorer->vma_count; i++)
		if (bytes[i])
			restorer->vmas[i].flags |= RESTORER_VMA_FILL;
	return 0;
}

static int plan_contents(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	const struct pagemap *map = task->image->pagemap;
	const uint64_t pieces = piece_limit(task->image);
	struct read_list lists[2] = { 0 };
	uint64_t vma = 0;
	bool large;

	if (!map || map->extent_count == 0)
		return 0;
	if (choose_filled(task, &large) < 0)
		return error_set(err, -ENOMEM, "list of pages");
	for (int i = 0; i < (large ? 2 : 1); i++) {
		lists[i].reads = area_alloc(r, pieces * sizeof(*lists[i].reads));
		lists[i].iov = area_alloc(r, pieces * sizeof(*lists[i].iov));
		if (!lists[i].reads || !lists[i].iov)
			return error_set(err, -ENOMEM, "list of pages");
	}
	for (size_t i = 0; i < map->extent_count; i++) {
		int result = add_extent(r, task, &map->extents[i], &vma, lists, err);

		if (result < 0)
			return result;
	}
	restorer->reads = lists[0].reads;
	restorer->read_count = lists[0].read_count;
	restorer->large_reads = lists[1].reads;
	restorer->large_read_count = lists[1].read_count;
	return 0;
}

/* --- the process's own idea of it -------------------------------------------------------------------------------- */

static int plan_mm_map(struct restore *r, struct restore_task *task, struct error *err)
{
	const MmEntry *mm = task->image->mm;
	struct restorer_mm_map *map = &task->restorer->mm_map;
	const struct mapped_file exe = { .kind = MAPPED_FILE, .id = mm->exe_file_id, .flags = O_RDONLY };

	*map = (struct restorer_mm_map){
		.start_code = mm->mm_start_code,
		.end_code = mm->mm_end_code,
		.start_data = mm->mm_start_data,
		.end_data = mm->mm_end_data,
		.start_brk = mm->mm_start_brk,
		.brk = mm->mm_brk,
		.start_stack = mm->mm_start_stack,
		.arg_start = mm->mm_arg_start,
		.arg_end = mm->mm_arg_end,
		.env_start = mm->mm_env_start,
		.env_end = mm->mm_env_end,
		.auxv_bytes = (uint32_t)(mm->n_mm_saved_auxv * sizeof(uint64_t)),
		.exe_fd = -1,
	};
	map->auxv = area_memdup(r, mm->mm_saved_auxv, map->auxv_bytes);
	if (!map->auxv)
		return error_set(err, -ENOMEM, "auxiliary vector");
	task->restorer->exe = add_file(task, &exe);
	return 0;
}

int restore_memory_plan(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	const MmEntry *mm = task->image->mm;
	int result;

	task->mapped = calloc(file_limit(task->image), sizeof(*task->mapped));
	restorer->files = area_alloc(r, file_limit(task->image) * sizeof(*restorer->files));
	restorer->vmas = area_alloc(r, mm->n_vmas * sizeof(*restorer->vmas));
	restorer->guards = area_alloc(r, mm->n_vmas * sizeof(*restorer->guards));
	if (!task->mapped || !restorer->files || !restorer->vmas || !restorer->guards)
		return error_set(err, -ENOMEM, "pid %d: list of mappings", task->pid);
	result = vdso_plan(r, task, err);
	if (result == 0)
		result = aio_plan(r, task, err);
	if (result == 0)
		result = plan_vmas(r, task, err);
	if (result == 0)
		result = plan_gaps(r, task, err);
	if (result == 0)
		result = plan_contents(r, task, err);
	if (result == 0)
		result = plan_mm_map(r, task, err);
	restorer->pages_file = -1;
	if (result < 0)
		error_prefix(err, "pid %d", task->pid);
	return result;
}

void restore_memory_free(struct restore_task *task)
{
	free(task->mapped);
	task->mapped = NULL;
}
