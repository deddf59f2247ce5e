/*
 * Mappings: from what /proc/PID/smaps shows to the areas of the image. Private memory is saved with its pages, file
 * mappings by the file and the pages that were copied, shared memory by its object; vdso and vvar are the kernel's.
 */
#include "mm/mm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/files.h"
#include "files/io-uring.h"
#include "image/vma-status.h"
#include "files/file-kind.h"
#include "kernel/hugepages.h"
#include "kernel/missing-mman.h"
#include "mm/aio.h"
#include "mm/copied-up.h"
#include "kernel/proc-misc.h"
#include "mm/mm-internal.h"
#include "mm/protection-keys.h"
#include "mm/shared-memory.h"
#include "mm/uprobes.h"

#define TASK_SIZE_MAX 0x7ffffffff000ull

/* A VmFlags bit and what it becomes. */
static const struct {
	uint64_t vm_flag;
	uint32_t map_flag;
} map_flags[] = {
	{ VMF_BIT(GD), MAP_GROWSDOWN },
	{ VMF_BIT(LO), MAP_LOCKED },
	{ VMF_BIT(NR), MAP_NORESERVE },
};

static const struct {
	uint64_t vm_flag;
	int advice;
} advices[] = {
	{ VMF_BIT(SR), MADV_SEQUENTIAL }, { VMF_BIT(RR), MADV_RANDOM },     { VMF_BIT(DC), MADV_DONTFORK },
	{ VMF_BIT(DD), MADV_DONTDUMP },   { VMF_BIT(MG), MADV_MERGEABLE },  { VMF_BIT(HG), MADV_HUGEPAGE },
	{ VMF_BIT(NH), MADV_NOHUGEPAGE }, { VMF_BIT(WF), MADV_WIPEONFORK },
};

/* What no field of the image can say. */
static const struct {
	uint64_t vm_flag;
	const char *reason;
	const char *hint;
} refusals[] = {
	{ VMF_BIT(UM) | VMF_BIT(UW) | VMF_BIT(UI), "is watched by a userfaultfd",
	  "end the program's use of userfaultfd first" },
	{ VMF_BIT(SS), "is a shadow stack, which is not supported yet", "start the program without shadow stacks" },
	{ VMF_BIT(IO) | VMF_BIT(PF), "maps a device", NULL },
	{ VMF_BIT(UNKNOWN), "has a property that this program does not know", NULL },
};

static int refuse(struct error *err, const struct task *task, const struct proc_vma *vma, const char *path,
		  const char *reason)
{
	return error_say(err, -ENOTSUP, TASK_FORMAT ", mapping %llx-%llx%s%s: %s", TASK_ARGS(task),
			 (unsigned long long)vma->start, (unsigned long long)vma->end, *path ? " " : "", path, reason);
}

static bool is_kernel_area(const char *path)
{
	return !strcmp(path, "[vdso]") || !strcmp(path, "[vvar]") || !strcmp(path, "[vvar_vclock]") ||
	       !strcmp(path, "[vsyscall]");
}

static int check_flags(const struct task *task, const struct proc_vma *vma, const char *path, struct error *err)
{
	if (!protection_keys_can_restore(vma, is_kernel_area(path)))
		return refuse(err, task, vma, path, "is the kernel's, under a protection key, which is not supported");
	if (is_kernel_area(path))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		if (!(vma->vm_flags & refusals[i].vm_flag))
			continue;
		if (refusals[i].hint)
			error_hint(err, "%s", refusals[i].hint);
		return refuse(err, task, vma, path, refusals[i].reason);
	}
	return 0;
}

static void set_common(struct area *area, const struct proc_vma *vma)
{
	uint64_t madvise = 0;

	for (size_t i = 0; i < ARRAY_SIZE(map_flags); i++)
		if (vma->vm_flags & map_flags[i].vm_flag)
			area->entry.flags |= map_flags[i].map_flag;
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
		if (vma->vm_flags & advices[i].vm_flag)
			madvise |= 1ull << advices[i].advice;
	if (vma->vm_flags & VMF_BIT(LF)) {
		area->entry.has_lock_on_fault = true;
		area->entry.lock_on_fault = true;
	}
	if (vma->vm_flags & VMF_BIT(SL)) {
		area->entry.has_sealed = true;
		area->entry.sealed = true;
	}
	area->entry.has_protection_key = vma->protection_key > 0;
	area->entry.protection_key = area->entry.has_protection_key ? (uint32_t)vma->protection_key : 0;
	area->entry.has_madv = madvise != 0;
	area->entry.madv = madvise;
}

static struct area *add_area(struct task_memory *memory, uint64_t start, uint64_t end)
{
	struct area *area;

	if (array_reserve(&memory->areas, &memory->area_capacity, memory->area_count, sizeof(*area)) < 0)
		return NULL;
	area = &memory->areas[memory->area_count++];
	memset(area, 0, sizeof(*area));
	vma_entry__init(&area->entry);
	area->entry.start = start;
	area->entry.end = end;
	area->entry.fd = -1;
	return area;
}

static void set_anonymous(struct area *area, const struct proc_vma *vma, const char *path)
{
	area->entry.status = VMA_REGULAR | VMA_ANON_PRIVATE;
	area->entry.flags = MAP_PRIVATE | MAP_ANONYMOUS;
	if (!strcmp(path, "[heap]"))
		area->entry.status |= VMA_HEAP;
	area->pages = PAGES_ANON;
	area->has_pages = true;
	if (vma->vm_flags & VMF_BIT(DP)) {
		/* The kernel may drop such pages at any time: the program expects zeros. */
		area->entry.flags = MAP_ANONYMOUS | MAP_DROPPABLE;
		area->has_pages = false;
	}
}

static void set_kernel_area(struct area *area, const char *path)
{
	area->entry.flags = MAP_PRIVATE | MAP_ANONYMOUS;
	if (!strcmp(path, "[vsyscall]")) {
		area->entry.status = VMA_VSYSCALL | VMA_ANON_PRIVATE;
		return;
	}
	area->entry.status = VMA_REGULAR | VMA_ANON_PRIVATE;
	area->entry.status |= !strcmp(path, "[vdso]") ? VMA_VDSO : VMA_VVAR;
}

/* Since 6.13 the kernel shows its data pages as two mappings side by side; the image has one. */
static bool joins_vvar(const struct task_memory *memory, const struct proc_vma *vma, const char *path)
{
	const struct area *last = memory->area_count ? &memory->areas[memory->area_count - 1] : NULL;

	return !strcmp(path, "[vvar_vclock]") && last && last->entry.status & VMA_VVAR && last->entry.end == vma->start;
}

static void set_file(struct area *area, const struct proc_vma *vma, uint32_t file_id, uint32_t kind)
{
	area->entry.status = VMA_REGULAR | kind | (vma->shared ? VMA_FILE_SHARED : VMA_FILE_PRIVATE);
	area->entry.flags = vma->shared ? MAP_SHARED : MAP_PRIVATE;
	area->entry.pgoff = vma->offset;
	area->entry.shmid = file_id;
	area->entry.has_fdflags = true;
	area->entry.fdflags = proc_vma_may_write_object(vma) ? O_RDWR : O_RDONLY;
	area->pages = PAGES_COPIED;
	area->has_pages = !vma->shared;
}

/* Its contents go to the task's pages as a whole. */
static int set_aio_ring(struct dump *d, struct task *task, struct area *area, struct error *err)
{
	struct task_memory *memory = task->memory;
	AioRingEntry *aio;
	uint32_t requests = 0;
	int r = aio_look(d, task, area->vma, &requests, err);

	if (r < 0)
		return r;
	if (array_reserve(&memory->aios, &memory->aio_capacity, memory->aio_count, sizeof(*aio)) < 0)
		return error_set(err, -ENOMEM, TASK_FORMAT ": mappings", TASK_ARGS(task));
	aio = &memory->aios[memory->aio_count++];
	aio_ring_entry__init(aio);
	aio->id = area->entry.start;
	aio->nr_req = requests;
	aio->ring_len = (uint32_t)(area->entry.end - area->entry.start);
	area->entry.status = VMA_AIORING;
	area->entry.flags = MAP_SHARED | MAP_ANONYMOUS;
	return 0;
}

static int set_io_uring(struct dump *d, struct task *task, struct area *area, const char *path, struct error *err)
{
	const struct proc_vma *vma = area->vma;
	const struct open_file *file = io_uring_find(d, vma);

	if (!file)
		return refuse(err, task, vma, path, "is of an io_uring that no task of the tree has open");
	if (!vma->shared || !io_uring_is_offset(vma->offset))
		return refuse(err, task, vma, path, "is not the beginning of one of the rings");
	set_file(area, vma, file->id, 0);
	return 0;
}

/* A private mapping of huge pages has an inode, which nobody else can have. */
static bool is_huge_anonymous(const struct proc_vma *vma, const char *path)
{
	return vma->vm_flags & VMF_BIT(HT) && !vma->shared && is_shared_memory_vma(vma) &&
	       !strncmp(path, "/anon_hugepage", strlen("/anon_hugepage"));
}

static int set_huge(struct task *task, const struct proc_vma *vma, const char *path, const struct open_file *file,
		    struct area *area, struct error *err)
{
	uint64_t bytes = vma->kernel_page_bytes;

	if (file && file->name_state == FILE_NAME_GONE)
		return refuse(err, task, vma, path, "the file on hugetlbfs has no name any more");
	if (!bytes) {
		AUTO_CLOSE int fd = proc_open_map(task->procfd, vma->start, vma->end, O_RDONLY | O_CLOEXEC);

		bytes = fd < 0 ? 0 : hugepages_of_file(fd);
	}
	if (!bytes)
		return refuse(err, task, vma, path, "the size of its huge pages cannot be told");
	area->entry.flags |= MAP_HUGETLB | hugepages_size_bits(bytes);
	return 0;
}

static int look_uprobes(struct dump *d, struct task *task, const struct proc_vma *vma, const char *path,
			struct error *err)
{
	if (!d->opts->allow_uprobes) {
		error_hint(err, "--allow-uprobes leaves it out: the process has been traced by uprobes");
		return refuse(err, task, vma, path, "is the kernel's, for uprobes");
	}
	d->has_uprobes = true;
	/* There may be two of them. */
	if (task->memory->has_uprobes)
		return 0;
	task->memory->has_uprobes = true;
	return uprobes_look(d, task, err);
}

static int look_area(struct dump *d, struct task *task, size_t index, struct error *err)
{
	struct task_memory *memory = task->memory;
	const struct proc_vma *vma = &task->maps.vmas[index];
	const char *path = proc_vma_path(&task->maps, vma);
	const struct open_file *file = task->vma_files[index];
	struct area *area;
	uint32_t file_id;
	int r;

	if (joins_vvar(memory, vma, path)) {
		memory->areas[memory->area_count - 1].entry.end = vma->end;
		return 0;
	}
	if (is_uprobes_area(path))
		return look_uprobes(d, task, vma, path, err);
	r = check_flags(task, vma, path, err);
	if (r < 0)
		return r;
	area = add_area(memory, vma->start, vma->end);
	if (!area)
		return error_set(err, -ENOMEM, TASK_FORMAT ": mappings", TASK_ARGS(task));
	area->vma = vma;
	area->entry.prot = vma->prot;
	if (is_kernel_area(path))
		set_kernel_area(area, path);
	else if (is_huge_anonymous(vma, path))
		set_anonymous(area, vma, path);
	else if (is_aio_ring(vma, path)) {
		r = set_aio_ring(d, task, area, err);
		if (r < 0)
			return r;
	} else if (is_io_uring_mapping(path)) {
		r = set_io_uring(d, task, area, path, err);
		if (r < 0)
			return r;
	} else if (is_shared_memory_vma(vma)) {
		r = shared_memory_add_mapping(d, task, vma, path, &file_id, err);
		if (r < 0)
			return r;
		set_file(area, vma, file_id, VMA_MEMFD);
	} else if (file) {
		set_file(area, vma, file->id, 0);
		r = copied_up_look(d, task, area, file, err);
		if (r < 0)
			return r;
	} else if (vma->inode == 0 && !vma->shared && (!*path || *path == '['))
		set_anonymous(area, vma, path);
	else
		return refuse(err, task, vma, path, "is of a kind that is not supported yet");
	set_common(area, vma);
	r = vma->vm_flags & VMF_BIT(HT) ? set_huge(task, vma, path, file, area, err) : 0;
	area->can_be_lazy =
	    area->pages == PAGES_ANON && area->has_pages && !(area->entry.flags & (MAP_LOCKED | MAP_HUGETLB));
	return r;
}

/* Guard pages have no mapping of their own: they follow behind all areas. */
static int look_guards(struct task *task, struct error *err)
{
	struct task_memory *memory = task->memory;
	AUTO_PAGE_RANGES struct page_ranges guards = { 0 };

	for (size_t i = 0; i < task->maps.count; i++) {
		const struct proc_vma *vma = &task->maps.vmas[i];
		int r;

		if (vma->end > TASK_SIZE_MAX || !(vma->vm_flags & VMF_BIT(GU)))
			continue;
		r = pagemap_scan_guards(memory->pagemap_fd, vma->start, vma->end, &guards);
		if (r < 0)
			return error_set(err, r, TASK_FORMAT ": guard pages", TASK_ARGS(task));
	}
	for (size_t i = 0; i < guards.count; i++) {
		uint64_t start = guards.ranges[i].start;
		struct area *area = add_area(memory, start, start + guards.ranges[i].page_count * PAGE_BYTES);

		if (!area)
			return error_set(err, -ENOMEM, TASK_FORMAT ": mappings", TASK_ARGS(task));
		area->entry.flags = MAP_PRIVATE | MAP_ANONYMOUS;
		area->entry.status = VMA_GUARD;
	}
	return 0;
}

static int read_vdso(struct task *task, struct error *err)
{
	struct task_memory *memory = task->memory;

	for (size_t i = 0; i < memory->area_count; i++) {
		const VmaEntry *entry = &memory->areas[i].entry;
		struct iovec local, remote;

		if (!(entry->status & VMA_VDSO))
			continue;
		memory->vdso_start = entry->start;
		memory->vdso_bytes = entry->end - entry->start;
		memory->vdso = malloc(memory->vdso_bytes);
		if (!memory->vdso)
			return error_set(err, -ENOMEM, TASK_FORMAT ": vdso", TASK_ARGS(task));
		local = (struct iovec){ memory->vdso, memory->vdso_bytes };
		remote = (struct iovec){ (void *)entry->start, memory->vdso_bytes };
		if (process_vm_readv(task->acting_tid, &local, 1, &remote, 1, 0) != (ssize_t)memory->vdso_bytes)
			return error_set(err, errno ? -errno : -EIO, TASK_FORMAT ": read the vdso", TASK_ARGS(task));
		return 0;
	}
	return 0;
}

int mm_look(struct dump *d, struct task *task, struct error *err)
{
	int r;

	task->memory = calloc(1, sizeof(*task->memory));
	if (!task->memory)
		return error_set(err, -ENOMEM, TASK_FORMAT ": mappings", TASK_ARGS(task));
	task->memory->pagemap_fd = pagemap_open(task->procfd);
	if (task->memory->pagemap_fd < 0)
		return error_set(err, task->memory->pagemap_fd, TASK_FORMAT ": open its page map", TASK_ARGS(task));
	for (size_t i = 0; i < task->maps.count; i++) {
		struct error reason = { 0 };

		if (look_area(d, task, i, &reason) < 0)
			refusals_add(&d->refusals, &reason);
	}
	protection_keys_look(d, task);
	r = look_guards(task, err);
	return r < 0 ? r : read_vdso(task, err);
}

const void *mm_vdso(const struct task *task, uint64_t *ret_start, uint64_t *ret_end)
{
	const struct task_memory *memory = task->memory;

	if (!memory || !memory->vdso)
		return NULL;
	*ret_start = memory->vdso_start;
	*ret_end = memory->vdso_start + memory->vdso_bytes;
	return memory->vdso;
}

void mm_free(struct task *task)
{
	struct task_memory *memory = task->memory;

	if (!memory)
		return;
	if (memory->pagemap_fd > 0)
		(void)close(memory->pagemap_fd);
	free(memory->areas);
	free(memory->aios);
	free(memory->vdso);
	free(memory->policies);
	free(memory);
	task->memory = NULL;
}
