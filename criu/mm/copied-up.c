/*
 * No interface tells which of both a mapping shows. A file that was copied up is younger than a mapping of what it was
 * before, and so than the tree: of those that are, what is mapped is compared with what the file holds.
 */
#include "mm/copied-up.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/file-kind.h"
#include "kernel/pagemap-scan.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-misc.h"
#include "mm/mm-internal.h"

#define PIECE_BYTES (64 * PAGE_BYTES)

/* The clock may have been set a little since, and start times are rounded. */
#define SLACK_NS (10 * NS_PER_SEC)

static bool is_younger_than_tree(struct dump *d, const struct open_file *file)
{
	const struct task *root = NULL;
	int64_t age_ns;

	for_each_task (d, task)
		if (!root || task->stat.start_time_ticks < root->stat.start_time_ticks)
			root = task;
	if (!root)
		return false;
	age_ns =
	    clock_now_ns(CLOCK_BOOTTIME) - (int64_t)root->stat.start_time_ticks * (NS_PER_SEC / sysconf(_SC_CLK_TCK));
	return (int64_t)file->overlay_btime_ns > clock_now_ns(CLOCK_REALTIME) - age_ns - SLACK_NS;
}

struct comparison {
	const struct area *area;
	const struct page_ranges *copied; /* pages of the process itself */
	size_t next_copied;
	int mem_fd, file_fd;
	uint64_t file_bytes;
	bool differs;        /* in a page that is the file's */
	bool differs_in_end; /* the file has more or less of them */
	uint64_t end;        /* behind the last page that can be read */
};

/* They are asked for in ascending order. */
static bool is_copied(struct comparison *c, uint64_t page)
{
	const struct page_ranges *copied = c->copied;

	while (c->next_copied < copied->count &&
	       copied->ranges[c->next_copied].start + copied->ranges[c->next_copied].page_count * PAGE_BYTES <= page)
		c->next_copied++;
	return c->next_copied < copied->count && copied->ranges[c->next_copied].start <= page;
}

static int read_file(const struct comparison *c, char *piece, size_t bytes, uint64_t offset)
{
	size_t there = offset < c->file_bytes ? (size_t)min_u64(bytes, c->file_bytes - offset) : 0;

	memset(piece, 0, bytes);
	return there ? pread_all(c->file_fd, piece, there, offset) : 0;
}

static int compare_piece(struct comparison *c, uint64_t at, const char *mapped, const char *held, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE_BYTES) {
		if (is_copied(c, at + i))
			continue;
		if (c->area->entry.pgoff + (at + i - c->area->entry.start) >= page_align_up(c->file_bytes))
			c->differs_in_end = true;
		c->differs |= memcmp(mapped + i, held + i, PAGE_BYTES) != 0;
	}
	return 0;
}

/* What lies behind the end of the file that is mapped cannot be read. */
static int compare(struct comparison *c)
{
	AUTO_FREE char *mapped = malloc(PIECE_BYTES), *held = malloc(PIECE_BYTES);
	const VmaEntry *entry = &c->area->entry;
	int r = mapped && held ? 0 : -ENOMEM;

	for (c->end = entry->start; r == 0 && c->end < entry->end;) {
		const uint64_t offset = entry->pgoff + (c->end - entry->start);
		size_t bytes = (size_t)min_u64(PIECE_BYTES, entry->end - c->end);
		ssize_t n = pread(c->mem_fd, mapped, bytes, (off_t)c->end);

		if (n < (ssize_t)PAGE_BYTES)
			break;
		bytes = (size_t)n & ~(PAGE_BYTES - 1);
		r = read_file(c, held, bytes, offset);
		if (r == 0)
			r = compare_piece(c, c->end, mapped, held, bytes);
		c->end += bytes;
	}
	if (r == 0 && c->end < entry->end && entry->pgoff + (c->end - entry->start) < c->file_bytes)
		c->differs_in_end = true;
	return r;
}

static int open_both(const struct task *task, struct comparison *c)
{
	struct stat st;

	c->mem_fd = openat(task->procfd, "mem", O_RDONLY | O_CLOEXEC);
	c->file_fd = proc_open_map(task->procfd, c->area->entry.start, c->area->entry.end, O_RDONLY | O_CLOEXEC);
	if (c->mem_fd < 0 || c->file_fd < 0)
		return c->file_fd < 0 ? c->file_fd : -EACCES;
	if (fstat(c->file_fd, &st) < 0)
		return -errno;
	c->file_bytes = (uint64_t)st.st_size;
	return 0;
}

static int compare_mapping(const struct task *task, struct comparison *c)
{
	AUTO_PAGE_RANGES struct page_ranges copied = { 0 };
	int r = open_both(task, c);

	c->copied = &copied;
	if (r == 0)
		r = pagemap_scan(task->memory->pagemap_fd, c->area->entry.start, c->area->entry.end, PAGES_COPIED,
				 &copied);
	if (r == 0)
		r = compare(c);
	c->copied = NULL;
	close_fd(&c->mem_fd);
	close_fd(&c->file_fd);
	return r;
}

int copied_up_look(struct dump *d, const struct task *task, struct area *area, const struct open_file *file,
		   struct error *err)
{
	struct comparison c = { .area = area, .mem_fd = -1, .file_fd = -1 };
	int r;

	if (!file->overlay_btime_ns || area->entry.fdflags != O_RDONLY || !is_younger_than_tree(d, file))
		return 0;
	r = compare_mapping(task, &c);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ", mapping %llx-%llx %s: compare it with the file",
				 TASK_ARGS(task), (unsigned long long)area->entry.start,
				 (unsigned long long)area->entry.end, file->link);
	if (!c.differs && !c.differs_in_end)
		return 0;
	if (!area->vma->shared && !c.differs_in_end) {
		area->kept_end = c.end;
		return 0;
	}
	error_hint(err, "have the program map the file again, or end it");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ", mapping %llx-%llx %s: shows what the file was before the overlay copied it to "
				     "its upper layer, which %s",
			 TASK_ARGS(task), (unsigned long long)area->entry.start, (unsigned long long)area->entry.end,
			 file->link,
			 c.differs_in_end ? "had another length" : "cannot be mapped again by several (MAP_SHARED)");
}
