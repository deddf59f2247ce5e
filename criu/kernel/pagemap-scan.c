/*
 * Two ways to the same answer. The PAGEMAP_SCAN request skips what has no page tables and reports ranges; where the
 * kernel lacks it (before 6.7), or lacks its guard category (before 6.16: guard markers would pass for swapped pages),
 * the words of the file are read one by one. Those hide page frame numbers from readers without CAP_SYS_ADMIN; then
 * zero pages cannot be told and are reported as content, which costs space and nothing else.
 */
#include "kernel/pagemap-scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/features.h"
#include "kernel/missing-pagemap.h"

int pagemap_open(int procfd)
{
	int fd = openat(procfd, "pagemap", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int page_ranges_add(struct page_ranges *ranges, uint64_t start, uint64_t page_count)
{
	struct page_range *last = ranges->count ? &ranges->ranges[ranges->count - 1] : NULL;
	int r;

	if (last && last->start + last->page_count * PAGE_BYTES == start) {
		last->page_count += page_count;
		return 0;
	}
	r = array_reserve(&ranges->ranges, &ranges->capacity, ranges->count, sizeof(*ranges->ranges));
	if (r < 0)
		return r;
	ranges->ranges[ranges->count++] = (struct page_range){ .start = start, .page_count = page_count };
	return 0;
}

void page_ranges_done(struct page_ranges *ranges)
{
	free(ranges->ranges);
	*ranges = (struct page_ranges){ 0 };
}

/* A failed scan takes back what it added, also the part merged into the last range. */
struct ranges_mark {
	size_t count;
	uint64_t last_page_count;
};

static struct ranges_mark mark_ranges(const struct page_ranges *ranges)
{
	return (struct ranges_mark){
		.count = ranges->count,
		.last_page_count = ranges->count ? ranges->ranges[ranges->count - 1].page_count : 0,
	};
}

static void reset_ranges(struct page_ranges *ranges, struct ranges_mark mark)
{
	ranges->count = mark.count;
	if (mark.count)
		ranges->ranges[mark.count - 1].page_count = mark.last_page_count;
}

/* --- the request ------------------------------------------------------------------------------------------------- */

static int add_regions(const struct page_region *regions, size_t count, struct page_ranges *ranges)
{
	size_t i;

	for (i = 0; i < count; i++) {
		uint64_t pages = (regions[i].end - regions[i].start) / PAGE_BYTES;
		int r = page_ranges_add(ranges, regions[i].start, pages);

		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Where to go on. walk_end is left from an earlier part of the walk when the request works in several parts and the
 * last one runs to its end: it then lies in front of ranges that were returned (seen in 6.18).
 */
static uint64_t next_start(const struct pm_scan_arg *arg, const struct page_region *regions, size_t count)
{
	return count ? max_u64(arg->walk_end, regions[count - 1].end) : arg->walk_end;
}

static int scan_by_request(int pagemap_fd, const struct pm_scan_arg *request, struct page_ranges *ranges)
{
	struct page_region regions[1024];
	struct pm_scan_arg arg = *request;
	uint64_t next;

	arg.size = sizeof(arg);
	arg.vec = (uintptr_t)regions;
	arg.vec_len = ARRAY_SIZE(regions);
	while (arg.start < arg.end) {
		int r = ioctl(pagemap_fd, PAGEMAP_SCAN, &arg);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		next = next_start(&arg, regions, (size_t)r);
		r = add_regions(regions, (size_t)r, ranges);
		if (r < 0)
			return r;
		if (next <= arg.start)
			return -EIO;
		arg.start = next;
	}
	return 0;
}

static struct pm_scan_arg selection_request(uint64_t start, uint64_t end, enum page_selection selection)
{
	struct pm_scan_arg arg = {
		.start = start,
		.end = end,
		.category_inverted = PAGE_IS_GUARD,
		.category_mask = PAGE_IS_GUARD,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};

	if (selection == PAGES_ANON) {
		arg.category_inverted |= PAGE_IS_PFNZERO;
		arg.category_mask |= PAGE_IS_PFNZERO;
	} else if (selection == PAGES_COPIED) {
		/* A zero page in a private file mapping is no page of the file: userfaultfd puts it there. */
		arg.category_inverted |= PAGE_IS_FILE;
		arg.category_mask |= PAGE_IS_FILE;
	}
	return arg;
}

/* --- the words --------------------------------------------------------------------------------------------------- */

/* What a word must look like to be reported. */
struct word_match {
	uint64_t any_of;     /* one of these bits set */
	uint64_t none_of;    /* none of these bits set */
	uint64_t zero_frame; /* frame number of the zero page, 0: do not look for it */
};

static bool word_matches(uint64_t word, const struct word_match *match)
{
	if (!(word & match->any_of) || (word & match->none_of))
		return false;
	return !match->zero_frame || !(word & PM_PRESENT) || (word & PM_PFRAME_MASK) != match->zero_frame;
}

static int add_words(const uint64_t *words, size_t count, uint64_t address, const struct word_match *match,
		     struct page_ranges *ranges)
{
	size_t i = 0;

	while (i < count) {
		size_t first;
		int r;

		/* Most of a sparse mapping. */
		while (i < count && !words[i])
			i++;
		first = i;
		while (i < count && word_matches(words[i], match))
			i++;
		if (i == first) {
			i++; /* looked at and not wanted, or the end */
			continue;
		}
		r = page_ranges_add(ranges, address + first * PAGE_BYTES, i - first);
		if (r < 0)
			return r;
	}
	return 0;
}

#define WORDS_PER_READ 32768UL

static int scan_by_words(int pagemap_fd, uint64_t start, uint64_t end, const struct word_match *match,
			 struct page_ranges *ranges)
{
	AUTO_FREE uint64_t *words = malloc(WORDS_PER_READ * sizeof(*words));

	if (!words)
		return -ENOMEM;
	while (start < end) {
		size_t count = min_u64((end - start) / PAGE_BYTES, WORDS_PER_READ);
		int r = pread_all(pagemap_fd, words, count * sizeof(*words), start / PAGE_BYTES * sizeof(*words));

		if (r < 0)
			return r;
		r = add_words(words, count, start, match, ranges);
		if (r < 0)
			return r;
		start += count * PAGE_BYTES;
	}
	return 0;
}

/* Read access to fresh private memory maps the zero page: what frame it is stands in our own pagemap. */
static uint64_t find_zero_frame(void)
{
	AUTO_CLOSE int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;
	volatile const char *page;

	if (fd < 0)
		return 0;
	page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return 0;
	(void)*page;
	if (pread_all(fd, &word, sizeof(word), (uintptr_t)page / PAGE_BYTES * sizeof(word)) < 0)
		word = 0;
	(void)munmap((void *)page, PAGE_BYTES);
	return word & PM_PRESENT ? word & PM_PFRAME_MASK : 0;
}

static struct word_match selection_match(int selection)
{
	struct word_match match = { .any_of = PM_PRESENT | PM_SWAP, .none_of = PM_GUARD_REGION };

	if (selection == PAGES_ANON)
		match.zero_frame = find_zero_frame();
	else if (selection == PAGES_COPIED)
		match.none_of |= PM_FILE;
	return match;
}

/* --- what is exported -------------------------------------------------------------------------------------------- */

static int check_bounds(uint64_t start, uint64_t end)
{
	return start < end && is_page_aligned(start) && is_page_aligned(end) ? 0 : -EINVAL;
}

static bool may_request(void)
{
	return !feature_is_masked("pagemap_scan") && !feature_is_masked("pagemap_scan_guard_pages");
}

/* Whether the failure of a request with valid arguments says that this kernel does not know it. */
static bool is_unknown_request(int r)
{
	return r == -ENOTTY || r == -EINVAL;
}

/* The request, and the words where the kernel does not know it; make_match is asked only then. */
static int scan(int pagemap_fd, const struct pm_scan_arg *request, struct word_match (*make_match)(int), int selection,
		struct page_ranges *ranges)
{
	struct ranges_mark mark = mark_ranges(ranges);
	int r = check_bounds(request->start, request->end);

	if (r < 0)
		return r;
	r = may_request() ? scan_by_request(pagemap_fd, request, ranges) : -ENOTTY;
	if (is_unknown_request(r)) {
		struct word_match match = make_match(selection);

		reset_ranges(ranges, mark);
		r = scan_by_words(pagemap_fd, request->start, request->end, &match, ranges);
	}
	if (r < 0)
		reset_ranges(ranges, mark);
	return r;
}

int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, enum page_selection selection,
		 struct page_ranges *ranges)
{
	struct pm_scan_arg request = selection_request(start, end, selection);

	return scan(pagemap_fd, &request, selection_match, selection, ranges);
}

int pagemap_scan_by_request(int pagemap_fd, uint64_t start, uint64_t end, enum page_selection selection,
			    struct page_ranges *ranges)
{
	const struct pm_scan_arg request = selection_request(start, end, selection);
	struct ranges_mark mark = mark_ranges(ranges);
	int r = check_bounds(start, end);

	if (r < 0)
		return r;
	r = may_request() ? scan_by_request(pagemap_fd, &request, ranges) : -ENOTTY;
	if (r < 0)
		reset_ranges(ranges, mark);
	return is_unknown_request(r) ? -EOPNOTSUPP : r;
}

static struct word_match guard_match(int unused)
{
	return (struct word_match){ .any_of = PM_GUARD_REGION };
}

int pagemap_scan_guards(int pagemap_fd, uint64_t start, uint64_t end, struct page_ranges *ranges)
{
	const struct pm_scan_arg request = {
		.start = start,
		.end = end,
		.category_mask = PAGE_IS_GUARD,
		.return_mask = PAGE_IS_GUARD,
	};

	return scan(pagemap_fd, &request, guard_match, 0, ranges);
}

int pagemap_scan_written(int pagemap_fd, uint64_t start, uint64_t end, enum page_selection selection, bool rearm,
			 struct page_ranges *ranges)
{
	struct pm_scan_arg request = selection_request(start, end, selection);
	struct ranges_mark mark = mark_ranges(ranges);
	int r = check_bounds(start, end);

	if (r < 0)
		return r;
	request.flags = PM_SCAN_CHECK_WPASYNC | (rearm ? PM_SCAN_WP_MATCHING : 0);
	request.category_mask |= PAGE_IS_WRITTEN;
	r = may_request() ? scan_by_request(pagemap_fd, &request, ranges) : -ENOTTY;
	if (r < 0)
		reset_ranges(ranges, mark);
	return is_unknown_request(r) ? -EOPNOTSUPP : r;
}
