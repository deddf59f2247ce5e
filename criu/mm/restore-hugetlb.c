/*
 * A private mapping reserves all its pages (MAP_NORESERVE: none) and needs those that have content. What processes
 * shared after a fork until one of them wrote is separate after a restore. Of shared objects the pages with content are
 * counted.
 */
#include "mm/restore-hugetlb.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/util.h"
#include "engine/restore.h"
#include "image/image-check.h"
#include "image/vma-status.h"
#include "kernel/hugepages.h"

struct need {
	uint64_t sizes[HUGE_SIZES_MAX];
	uint64_t pages[HUGE_SIZES_MAX];
	size_t count;
};

static void add_need(struct need *need, uint64_t page_bytes, uint64_t pages)
{
	for (size_t i = 0; i < need->count; i++)
		if (need->sizes[i] == page_bytes) {
			need->pages[i] += pages;
			return;
		}
	if (need->count == HUGE_SIZES_MAX)
		return;
	need->sizes[need->count] = page_bytes;
	need->pages[need->count++] = pages;
}

/* Huge pages of [start, end) with content. */
static uint64_t count_present(const struct pagemap *map, uint64_t start, uint64_t end, uint64_t page_bytes)
{
	uint64_t pages = 0, counted_to = start;

	for (size_t i = 0; map && i < map->extent_count; i++) {
		const struct page_extent *extent = &map->extents[i];
		uint64_t from = max_u64(extent->vaddr, counted_to);
		uint64_t to = min_u64(extent->vaddr + extent->nr_pages * PAGE_BYTES, end);

		if (from >= to)
			continue;
		from -= (from - start) % page_bytes;
		to = start + (to - start + page_bytes - 1) / page_bytes * page_bytes;
		pages += (to - from) / page_bytes;
		counted_to = to;
	}
	return pages;
}

static void add_task(struct need *need, const struct checked_task *task)
{
	for (size_t i = 0; task->mm && i < task->mm->n_vmas; i++) {
		const VmaEntry *vma = task->mm->vmas[i];
		uint64_t bytes;

		if (!(vma->flags & MAP_HUGETLB) || !(vma->status & (VMA_ANON_PRIVATE | VMA_FILE_PRIVATE)))
			continue;
		bytes = hugepages_bytes_of_bits(vma->flags);
		if (!bytes)
			continue;
		add_need(need, bytes,
			 vma->flags & MAP_NORESERVE ? count_present(task->pagemap, vma->start, vma->end, bytes)
						    : (vma->end - vma->start) / bytes);
	}
}

static void add_object(struct need *need, const struct checked_shmem *shmem)
{
	uint64_t bytes;

	if (!shmem->inode || !shmem->inode->has_hugetlb_flag || !shmem->inode->hugetlb_flag)
		return;
	bytes = hugepages_bytes_of_bits(shmem->inode->hugetlb_flag);
	if (bytes)
		add_need(need, bytes, count_present(shmem->pagemap, 0, shmem->bytes, bytes));
}

int restore_hugetlb_check(const struct restore *r, struct error *err)
{
	struct need need = { 0 };

	for (size_t i = 0; i < r->images->task_count; i++)
		add_task(&need, &r->images->tasks[i]);
	for (size_t i = 0; i < r->images->shmem_count; i++)
		add_object(&need, &r->images->shmems[i]);
	for (size_t i = 0; i < need.count; i++) {
		unsigned long long kib = need.sizes[i] >> 10;
		uint64_t left = 0;
		int result = hugepages_left(need.sizes[i], &left);

		if (result == -ENOENT)
			return error_say(err, -EOPNOTSUPP, "huge pages of %llu kB are needed, which this machine lacks",
					 kib);
		if (result < 0 || need.pages[i] <= left)
			continue;
		error_hint(err, "write a larger number to /sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages", kib);
		return error_say(err, -ENOMEM, "%llu huge pages of %llu kB are needed, %llu are left",
				 (unsigned long long)need.pages[i], kib, (unsigned long long)left);
	}
	return 0;
}
