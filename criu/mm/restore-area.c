/*
 * The address is found by laying all mappings of all tasks, and our own, on top of each other and taking a gap that is
 * wide enough. Sets with unrelated layouts still leave nearly all of the 128 TiB free. A distance to the mappings is
 * kept where there is room, so that a stack that grows cannot meet the area.
 */
#include "mm/restore-area.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/restore.h"
#include "image/vma-status.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-list.h"
#include "kernel/proc-pid.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define LOWEST_ADDRESS 0x10000ull
#define DISTANCE_BYTES (16ull << 20)

extern const char pie_restorer_start[], pie_restorer_end[];

struct span {
	uint64_t start, end;
};

struct spans {
	struct span *items;
	size_t count, capacity;
};

/* The vsyscall page lies above everything that can be mapped. */
static int spans_add(struct spans *spans, uint64_t start, uint64_t end)
{
	if (end > VMA_TASK_SIZE)
		return 0;
	if (array_reserve(&spans->items, &spans->capacity, spans->count, sizeof(*spans->items)) < 0)
		return -ENOMEM;
	spans->items[spans->count++] = (struct span){ start, end };
	return 0;
}

static int spans_add_task(struct spans *spans, const struct checked_task *task)
{
	for (size_t i = 0; task->mm && i < task->mm->n_vmas; i++) {
		const VmaEntry *vma = task->mm->vmas[i];
		int r = spans_add(spans, vma->start, vma->end);

		if (r < 0)
			return r;
	}
	return 0;
}

static int spans_add_own(struct spans *spans)
{
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	AUTO_CLOSE int procfd = proc_open(0);
	int r = procfd < 0 ? procfd : proc_maps_read(procfd, false, &maps);

	for (size_t i = 0; r == 0 && i < maps.count; i++)
		r = spans_add(spans, maps.vmas[i].start, maps.vmas[i].end);
	return r;
}

static int compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* The highest gap of at least so many bytes with the distance kept at both ends. */
static int spans_find_gap(struct spans *spans, uint64_t bytes, uint64_t distance, uint64_t *ret_start)
{
	uint64_t free_from = LOWEST_ADDRESS;
	int r = -ENOMEM;

	qsort(spans->items, spans->count, sizeof(*spans->items), compare_spans);
	for (size_t i = 0; i <= spans->count; i++) {
		uint64_t free_to = i < spans->count ? spans->items[i].start : VMA_TASK_SIZE;

		if (free_to > free_from && free_to - free_from >= bytes + 2 * distance) {
			*ret_start = free_to - distance - bytes;
			r = 0;
		}
		if (i < spans->count)
			free_from = max_u64(free_from, spans->items[i].end);
	}
	return r;
}

static int find_gap(struct spans *spans, uint64_t bytes, uint64_t *ret_start)
{
	int r = spans_find_gap(spans, bytes, DISTANCE_BYTES, ret_start);

	return r == 0 ? 0 : spans_find_gap(spans, bytes, PAGE_BYTES, ret_start);
}

int restore_area_find_hole(const struct restore *r, const struct checked_task *task, uint64_t bytes,
			   uint64_t *ret_start)
{
	struct spans spans = { 0 };
	int result = spans_add_task(&spans, task);

	if (result == 0)
		result = spans_add(&spans, r->area->start, r->area->start + r->area->bytes);
	if (result == 0)
		result = find_gap(&spans, bytes, ret_start);
	free(spans.items);
	return result;
}

static int find_common_hole(const struct restore *r, uint64_t bytes, uint64_t *ret_start)
{
	struct spans spans = { 0 };
	int result = spans_add_own(&spans);

	for (size_t i = 0; result == 0 && i < r->images->task_count; i++)
		result = spans_add_task(&spans, &r->images->tasks[i]);
	if (result == 0)
		result = find_gap(&spans, bytes, ret_start);
	free(spans.items);
	return result;
}

/* maps needs fewer rights than map_files. */
static int read_maps(pid_t tid, struct proc_maps *ret)
{
	AUTO_CLOSE int procfd = proc_open(tid);

	return procfd < 0 ? procfd : proc_maps_read(procfd, false, ret);
}

/*
 * A first thread that has ended has no mappings, and one that is ending has none before its state says so: then those
 * of the others are the process's.
 */
static int read_maps_of_process(pid_t pid, struct proc_maps *ret)
{
	AUTO_CLOSE int procfd = -1;
	AUTO_FREE pid_t *tids = NULL;
	size_t count = 0;
	int r = read_maps(pid, ret);

	if (r == 0 && ret->count)
		return 0;
	procfd = proc_open(pid);
	r = procfd < 0 ? procfd : proc_list_threads(procfd, &tids, &count);
	for (size_t i = 0; i < count; i++)
		if (read_maps(tids[i], ret) == 0 && ret->count)
			return 0;
	return r < 0 ? r : -ESRCH;
}

static int find_area(const struct restore_shared *shared, pid_t pid, struct proc_vma *ret_vma)
{
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	const struct proc_vma *vma;
	int r = read_maps_of_process(pid, &maps);

	if (r < 0)
		return r;
	vma = proc_maps_find(&maps, shared->mark_start);
	if (!vma)
		return -ENOENT;
	*ret_vma = *vma;
	return 0;
}

bool restore_area_is_mapped(const struct restore_shared *shared, pid_t pid)
{
	struct proc_vma vma;

	return find_area(shared, pid, &vma) == 0 && vma.shared && vma.inode == shared->mark_inode &&
	       vma.dev_major == shared->mark_major && vma.dev_minor == shared->mark_minor;
}

/* What the area's file is, so that its other users can be recognised. */
static int mark_area(struct restore *r, struct error *err)
{
	struct restore_shared *shared = r->shared;
	struct proc_vma vma;
	int result;

	shared->mark_start = page_align_up(r->area->start + r->area->used);
	result = find_area(shared, getpid(), &vma);
	if (result < 0)
		return error_set(err, result, "identify the restore area");
	shared->mark_major = vma.dev_major;
	shared->mark_minor = vma.dev_minor;
	shared->mark_inode = vma.inode;
	return 0;
}

/* Code that is written once and then only run: the first pages of the area after the shared words. */
static int put_blob(struct restore *r, struct error *err)
{
	const size_t blob_bytes = (size_t)(pie_restorer_end - pie_restorer_start);
	const size_t room = page_align_up(blob_bytes);
	void *code = area_alloc_aligned(r, room, PAGE_BYTES);

	if (!code)
		return error_set(err, -ENOMEM, "restorer");
	memcpy(code, pie_restorer_start, blob_bytes);
	if (mprotect(code, room, PROT_READ | PROT_EXEC) < 0)
		return error_set(err, -errno, "make the restorer executable");
	r->shared->entry = code;
	return 0;
}

static uint64_t blob_room(void)
{
	return page_align_up((uint64_t)(pie_restorer_end - pie_restorer_start)) + 2 * PAGE_BYTES +
	       sizeof(struct restore_shared);
}

int restore_area_map(struct restore *r, uint64_t bytes, struct error *err)
{
	struct restore_area *area = calloc(1, sizeof(*area));
	int result;
	void *mapped;

	if (!area)
		return error_set(err, -ENOMEM, "restore area");
	area->bytes = page_align_up(bytes + blob_room());
	result = find_common_hole(r, area->bytes, &area->start);
	if (result < 0) {
		free(area);
		return error_set(err, result, "find %llu KiB of addresses that all processes of the set leave free",
				 (unsigned long long)bytes / 1024);
	}
	/* No huge pages in it: what is shared by all should cost only what is used. */
	mapped = mmap((void *)area->start, area->bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (mapped == MAP_FAILED || (uint64_t)mapped != area->start) {
		result = mapped == MAP_FAILED ? -errno : -EEXIST;
		free(area);
		return error_set(err, result, "map the restore area");
	}
	r->area = area;
	r->shared = area_alloc(r, sizeof(*r->shared));
	r->shared->area_start = area->start;
	r->shared->area_bytes = area->bytes;
	result = put_blob(r, err);
	if (result == 0)
		result = mark_area(r, err);
	if (result < 0)
		restore_area_unmap(r);
	return result;
}

void restore_area_unmap(struct restore *r)
{
	if (!r->area)
		return;
	(void)munmap((void *)r->area->start, r->area->bytes);
	free(r->area);
	r->area = NULL;
	r->shared = NULL;
}

void *area_alloc_aligned(struct restore *r, size_t bytes, size_t align)
{
	struct restore_area *area = r->area;
	uint64_t at = (area->used + align - 1) & ~((uint64_t)align - 1);

	if (at + bytes > area->bytes)
		return NULL;
	area->used = at + bytes;
	return (void *)(area->start + at);
}

void *area_alloc(struct restore *r, size_t bytes)
{
	return area_alloc_aligned(r, bytes, 16);
}

void *area_memdup(struct restore *r, const void *data, size_t bytes)
{
	void *copy = area_alloc(r, bytes);

	if (copy && bytes)
		memcpy(copy, data, bytes);
	return copy;
}
