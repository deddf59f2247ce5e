/* mm-PID.img and the private pages of a task. */
#include "mm/mm.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/file-kind.h"
#include "image/image-write.h"
#include "image/pagemap.h"
#include "image/vma-status.h"
#include "images/mm.pb-c.h"
#include "kernel/page-sharing.h"
#include "kernel/proc-misc.h"
#include "mm/mm-internal.h"
#include "mm/page-save.h"
#include "mm/protection-keys.h"
#include "mm/uprobes.h"
#include "pie/parasite-border.h"

/* --- pages ------------------------------------------------------------------------------------------------------- */

struct source_list {
	struct page_source *items;
	size_t count, capacity;
	char **pages_of_ours; /* that sources lead to */
	size_t page_count, page_capacity;
	uint64_t pages;
	bool uses_mem;
	size_t ranges_asked; /* whether others have their pages as well */
	bool is_sharing;
	bool is_through_mem; /* all of it */
};

/* Who forked or was forked has pages of its program and libraries in common with others, and these come first. */
#define RANGES_TO_ASK 16

/* Which of so few pages others have as well costs more to ask than reading all of them as if they had. */
#define FEW_PAGES 64

/* Two mappings side by side are one piece of memory. */
static bool continues(const struct page_source *last, const struct page_source *source)
{
	return last->kind == source->kind && source->kind != PAGES_FROM_BUFFER &&
	       last->address + last->bytes == source->address;
}

static int add_source(struct source_list *list, struct page_source source)
{
	int r = array_reserve(&list->items, &list->capacity, list->count, sizeof(source));

	if (r < 0)
		return r;
	if (list->count && continues(&list->items[list->count - 1], &source))
		list->items[list->count - 1].bytes += source.bytes;
	else
		list->items[list->count++] = source;
	list->pages += source.bytes / PAGE_BYTES;
	list->uses_mem |= source.kind == PAGES_FROM_MEM;
	return 0;
}

static int add_vdso(const struct task_memory *memory, struct source_list *list, struct pagemap_writer *w,
		    struct error *err)
{
	struct page_source source = {
		.kind = PAGES_FROM_BUFFER,
		.address = memory->vdso_start,
		.bytes = memory->vdso_bytes,
		.buffer = memory->vdso,
	};

	if (add_source(list, source) < 0)
		return error_set(err, -ENOMEM, "page list");
	return pagemap_writer_add(w, memory->vdso_start, memory->vdso_bytes / PAGE_BYTES, PAGEMAP_PRESENT, err);
}

static int add_part(void *ctx, uint64_t start, uint64_t page_count, bool is_shared)
{
	struct source_list *list = ctx;
	struct page_source source = {
		.kind = is_shared ? PAGES_FROM_MEM : PAGES_FROM_TASK,
		.address = start,
		.bytes = page_count * PAGE_BYTES,
	};

	list->is_sharing |= is_shared;
	return add_source(list, source);
}

static int add_range(const struct task *task, const struct area *area, uint64_t start, uint64_t page_count,
		     struct source_list *list, struct pagemap_writer *w, struct error *err)
{
	int r;

	if (!(area->entry.prot & PROT_READ) || list->is_through_mem)
		r = add_source(list, (struct page_source){
					 .kind = PAGES_FROM_MEM, .address = start, .bytes = page_count * PAGE_BYTES });
	else if (!list->is_sharing && list->ranges_asked++ >= RANGES_TO_ASK)
		r = add_part(list, start, page_count, false);
	else
		r = page_sharing_split(task->memory->pagemap_fd, start, page_count, add_part, list);
	if (r < 0)
		return error_set(err, -ENOMEM, "page list");
	return pagemap_writer_add(w, start, page_count, PAGEMAP_PRESENT | (area->can_be_lazy ? PAGEMAP_LAZY : 0), err);
}

static int add_own_page(struct source_list *list, uint64_t address, char **page, struct pagemap_writer *w,
			struct error *err)
{
	struct page_source source = {
		.kind = PAGES_FROM_BUFFER, .address = address, .bytes = PAGE_BYTES, .buffer = *page
	};

	if (array_reserve(&list->pages_of_ours, &list->page_capacity, list->page_count, sizeof(*page)) < 0)
		return error_set(err, -ENOMEM, "page list");
	list->pages_of_ours[list->page_count++] = TAKE_PTR(*page);
	if (add_source(list, source) < 0)
		return error_set(err, -ENOMEM, "page list");
	return pagemap_writer_add(w, address, 1, PAGEMAP_PRESENT, err);
}

/* The pages up to end, less those that are the file's without the probes in them. */
static int add_text(const struct uprobes_text *text, uint64_t start, uint64_t end, struct source_list *list,
		    struct pagemap_writer *w, struct error *err)
{
	uint64_t done = start;
	int r = 0;

	for (uint64_t at = start; at < end && r == 0; at += PAGE_BYTES) {
		AUTO_FREE char *page = NULL;
		bool is_file_page = false;

		r = uprobes_clean_page(text, at, &page, &is_file_page);
		if (r < 0)
			return error_set(err, r, TASK_FORMAT ": look for uprobes at %llx", TASK_ARGS(text->task),
					 (unsigned long long)at);
		if (!page)
			continue;
		if (done < at)
			r = add_range(text->task, text->area, done, (at - done) / PAGE_BYTES, list, w, err);
		if (r == 0 && !is_file_page)
			r = add_own_page(list, at, &page, w, err);
		done = at + PAGE_BYTES;
	}
	return r == 0 && done < end ? add_range(text->task, text->area, done, (end - done) / PAGE_BYTES, list, w, err)
				    : r;
}

static int add_pages(const struct task *task, const struct area *area, uint64_t start, uint64_t end,
		     struct source_list *list, struct pagemap_writer *w, struct error *err)
{
	struct uprobes_text text;
	int r;

	r = uprobes_can_be_in(area) ? uprobes_text_open(task, area, &text) : -ENOENT;
	if (r < 0)
		return add_range(task, area, start, (end - start) / PAGE_BYTES, list, w, err);
	r = add_text(&text, start, end, list, w, err);
	uprobes_text_close(&text);
	return r;
}

static int scan_failed(const struct task *task, int r, uint64_t start, uint64_t end, struct error *err)
{
	return error_set(err, r, TASK_FORMAT ": which pages of %llx-%llx are in use", TASK_ARGS(task),
			 (unsigned long long)start, (unsigned long long)end);
}

/*
 * All pages of the address space by one walk: what is nobody's file page. In private anonymous areas that is every
 * page, in private file mappings the copied ones; what it finds elsewhere is not looked at.
 */
static int scan_all(const struct task *task, struct page_ranges *ranges, struct error *err)
{
	const struct task_memory *memory = task->memory;
	uint64_t start = UINT64_MAX, end = 0;
	int r;

	for (size_t i = 0; i < memory->area_count; i++) {
		if (!memory->areas[i].has_pages)
			continue;
		start = min_u64(start, memory->areas[i].entry.start);
		end = max_u64(end, memory->areas[i].entry.end);
	}
	r = end ? pagemap_scan_by_request(memory->pagemap_fd, start, end, PAGES_COPIED, ranges) : 0;
	return r < 0 && r != -EOPNOTSUPP ? scan_failed(task, r, start, end, err) : r;
}

static uint64_t count_pages(const struct page_ranges *ranges)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < ranges->count; i++)
		pages += ranges->ranges[i].page_count;
	return pages;
}

/* The part of the ranges that lies in the area; *at is where the next area begins to look. */
static int add_found_pages(const struct task *task, const struct area *area, const struct page_ranges *ranges,
			   size_t *at, struct source_list *list, struct pagemap_writer *w, struct error *err)
{
	int r = 0;

	for (; *at < ranges->count && r == 0; (*at)++) {
		uint64_t range_end = ranges->ranges[*at].start + ranges->ranges[*at].page_count * PAGE_BYTES;
		uint64_t start = max_u64(ranges->ranges[*at].start, area->entry.start);
		uint64_t end = min_u64(range_end, area->entry.end);

		if (ranges->ranges[*at].start >= area->entry.end)
			break;
		if (start < end)
			r = add_pages(task, area, start, end, list, w, err);
		if (range_end > area->entry.end)
			break; /* the rest is the next area's */
	}
	return r;
}

static int add_area_pages(struct task *task, const struct area *area, struct source_list *list,
			  struct pagemap_writer *w, struct error *err)
{
	AUTO_PAGE_RANGES struct page_ranges ranges = { 0 };
	size_t at = 0;
	int r;

	if (area->vma->anonymous_bytes == 0 && area->vma->swap_bytes == 0 && !(area->entry.flags & MAP_HUGETLB))
		return 0; /* smaps counted the pages already, but for huge ones */
	r = pagemap_scan(task->memory->pagemap_fd, area->entry.start, area->entry.end, area->pages, &ranges);
	if (r < 0)
		return scan_failed(task, r, area->entry.start, area->entry.end, err);
	return add_found_pages(task, area, &ranges, &at, list, w, err);
}

static int collect_pages(struct dump *d, struct task *task, struct source_list *list, struct pagemap_writer *w,
			 struct error *err)
{
	struct task_memory *memory = task->memory;
	AUTO_PAGE_RANGES struct page_ranges found = { 0 };
	size_t at = 0;
	int r = scan_all(task, &found, err);
	bool in_one = r != -EOPNOTSUPP;

	if (!in_one)
		r = 0;
	list->is_through_mem = in_one && d->task_count > 1 && count_pages(&found) <= FEW_PAGES;
	for (size_t i = 0; i < memory->area_count && r == 0; i++) {
		const struct area *area = &memory->areas[i];

		if (area->entry.status & VMA_VDSO)
			r = add_vdso(memory, list, w, err);
		if (area->entry.status & VMA_AIORING)
			r = add_range(task, area, area->entry.start, (area->entry.end - area->entry.start) / PAGE_BYTES,
				      list, w, err);
		if (!area->has_pages)
			continue;
		(void)__atomic_fetch_add(&d->stats.pages_scanned, (area->entry.end - area->entry.start) / PAGE_BYTES,
					 __ATOMIC_RELAXED);
		if (area->kept_end)
			r = add_range(task, area, area->entry.start, (area->kept_end - area->entry.start) / PAGE_BYTES,
				      list, w, err);
		else if (in_one)
			r = add_found_pages(task, area, &found, &at, list, w, err);
		else
			r = add_area_pages(task, area, list, w, err);
	}
	return r;
}

static int report_progress(void *ctx, uint64_t bytes)
{
	return dump_progress(ctx, bytes);
}

static int write_pages(struct dump *d, struct task *task, const struct source_list *list, uint32_t pages_id,
		       struct error *err)
{
	AUTO_CLOSE int out_fd = -1;
	AUTO_CLOSE int mem_fd = -1;
	bool failed_write = false;
	struct page_job job = {
		.pid = task->acting_tid,
		.sources = list->items,
		.source_count = list->count,
		.progress = report_progress,
		.progress_ctx = d,
	};
	char name[IMAGE_NAME_MAX];
	int r = image_create_raw(d->set, IMAGE_PAGES, pages_id, &out_fd, err);

	if (r < 0)
		return r;
	if (list->uses_mem) {
		mem_fd = openat(task->procfd, "mem", O_RDONLY | O_CLOEXEC);
		if (mem_fd < 0)
			return error_set(err, -errno, TASK_FORMAT ": open its memory", TASK_ARGS(task));
	}
	job.fd = mem_fd;
	job.out_fd = out_fd;
	r = pages_save(&job, &failed_write);
	if (r == 0 || dump_check_interrupted(d, err) < 0)
		return r;
	if (!failed_write)
		return error_set(err, r, TASK_FORMAT ": read its memory", TASK_ARGS(task));
	image_name(IMAGE_PAGES, pages_id, name);
	return image_write_error(d->set, name, r, err);
}

int mm_save_pages(struct dump *d, struct task *task, struct error *err)
{
	AUTO_PAGEMAP_WRITER struct pagemap_writer w = PAGEMAP_WRITER_INIT;
	struct source_list list = { 0 };
	uint32_t pages_id = image_set_next_pages_id(d->set);
	uint64_t started_us;
	int r = pagemap_writer_open(&w, d->set, IMAGE_PAGEMAP, (uint64_t)task_id_own(&task->id), pages_id, err);

	if (r == 0)
		r = collect_pages(d, task, &list, &w, err);
	started_us = now_us();
	if (r == 0)
		r = write_pages(d, task, &list, pages_id, err);
	(void)__atomic_fetch_add(&d->stats.memwrite_us, now_us() - started_us, __ATOMIC_RELAXED);
	if (r == 0)
		r = pagemap_writer_finish(&w, err);
	(void)__atomic_fetch_add(&d->stats.pages_written, list.pages, __ATOMIC_RELAXED);
	for (size_t i = 0; i < list.page_count; i++)
		free(list.pages_of_ours[i]);
	free(list.pages_of_ours);
	free(list.items);
	return r;
}

/* --- the address space -------------------------------------------------------------------------------------------- */

static void fill_bounds(const struct task *task, MmEntry *mm)
{
	const struct proc_stat *stat = &task->stat;

	mm->mm_start_code = stat->start_code;
	mm->mm_end_code = stat->end_code;
	mm->mm_start_data = stat->start_data;
	mm->mm_end_data = stat->end_data;
	mm->mm_start_stack = stat->start_stack;
	mm->mm_start_brk = stat->start_brk;
	mm->mm_brk = task->parasite->brk;
	mm->mm_arg_start = stat->arg_start;
	mm->mm_arg_end = stat->arg_end;
	mm->mm_env_start = stat->env_start;
	mm->mm_env_end = stat->env_end;
	mm->exe_file_id = task->exe->id;
	mm->has_dumpable = true;
	mm->dumpable = (int32_t)task->parasite->dumpable;
	mm->has_thp_disabled = true;
	mm->thp_disabled = task->parasite->thp_disabled > 0;
}

/* Words up to and with the pair that ends it; 0 when the task could not tell. */
static size_t count_auxv(const struct parasite_task *told)
{
	size_t words = told->auxv_bytes > 0 ? (size_t)told->auxv_bytes / sizeof(told->auxv[0]) : 0;

	if (words > PARASITE_AUXV_WORDS)
		return 0;
	for (size_t i = 0; i + 1 < words; i += 2)
		if (told->auxv[i] == AT_NULL)
			return i + 2;
	return 0;
}

int mm_save(struct dump *d, struct task *task, struct error *err)
{
	struct task_memory *memory = task->memory;
	AUTO_FREE VmaEntry **vmas = calloc(memory->area_count + 1, sizeof(*vmas));
	AUTO_FREE AioRingEntry **aios = calloc(memory->aio_count + 1, sizeof(*aios));
	AUTO_FREE uint64_t *auxv = NULL;
	MmEntry mm = MM_ENTRY__INIT;
	int r;

	if (!vmas || !aios)
		return error_set(err, -ENOMEM, TASK_FORMAT ": mappings", TASK_ARGS(task));
	mm.mm_saved_auxv = task->parasite->auxv;
	mm.n_mm_saved_auxv = count_auxv(task->parasite);
	if (!mm.n_mm_saved_auxv) {
		r = proc_read_auxv(task->procfd, &auxv, &mm.n_mm_saved_auxv);
		if (r < 0)
			return error_set(err, r, TASK_FORMAT ": read its auxiliary vector", TASK_ARGS(task));
		mm.mm_saved_auxv = auxv;
	}
	/* The kernel puts the end back; other readers have room for no more pairs than there are. */
	while (mm.n_mm_saved_auxv >= 2 && mm.mm_saved_auxv[mm.n_mm_saved_auxv - 2] == AT_NULL)
		mm.n_mm_saved_auxv -= 2;
	for (size_t i = 0; i < memory->area_count; i++)
		vmas[i] = &memory->areas[i].entry;
	mm.vmas = vmas;
	mm.n_vmas = memory->area_count;
	for (size_t i = 0; i < memory->aio_count; i++)
		aios[i] = &memory->aios[i];
	mm.aios = aios;
	mm.n_aios = memory->aio_count;
	fill_bounds(task, &mm);
	protection_keys_save(task, &mm);
	return image_write_one(d->set, IMAGE_MM, (uint64_t)task_id_own(&task->id), &mm, err);
}
