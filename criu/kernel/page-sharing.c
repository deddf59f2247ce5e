#include "kernel/page-sharing.h"

#include <stddef.h>

#include "base/util.h"
#include "kernel/missing-pagemap.h"

#define PIECE_PAGES 512u

/* Pages that are told together, not told yet. */
struct span {
	uint64_t start, page_count;
	bool is_shared;
	page_sharing_part part;
	void *ctx;
};

static int tell(struct span *span)
{
	int r = span->page_count ? span->part(span->ctx, span->start, span->page_count, span->is_shared) : 0;

	span->start += span->page_count * PAGE_BYTES;
	span->page_count = 0;
	return r;
}

static int add(struct span *span, uint64_t page_count, bool is_shared)
{
	int r = span->is_shared == is_shared ? 0 : tell(span);

	span->is_shared = is_shared;
	span->page_count += page_count;
	return r;
}

static bool is_shared(uint64_t word)
{
	return word & PM_PRESENT && !(word & PM_MMAP_EXCLUSIVE);
}

static int read_words(int pagemap_fd, uint64_t start, uint64_t *words, uint64_t count)
{
	return pread_all(pagemap_fd, words, count * sizeof(*words), start / PAGE_BYTES * sizeof(*words));
}

/* Up to PIECE_PAGES of them. */
static int add_piece(struct span *span, int pagemap_fd, uint64_t start, uint64_t count, bool is_large)
{
	uint64_t words[PIECE_PAGES];
	int r = read_words(pagemap_fd, start, words, is_large ? 1 : count);

	if (r == 0 && is_large && is_shared(words[0]))
		r = read_words(pagemap_fd, start, words, count);
	else if (r == 0 && is_large)
		return add(span, count, false);
	if (r < 0)
		return add(span, count, false);
	for (uint64_t i = 0; i < count && r == 0; i++)
		r = add(span, 1, is_shared(words[i]));
	return r;
}

int page_sharing_split(int pagemap_fd, uint64_t start, uint64_t page_count, page_sharing_part part, void *ctx)
{
	const bool is_large = page_count > PIECE_PAGES;
	struct span span = { .start = start, .part = part, .ctx = ctx };
	int r = 0;

	while (page_count && r == 0) {
		const uint64_t count = min_u64(page_count, PIECE_PAGES);

		r = add_piece(&span, pagemap_fd, start, count, is_large);
		start += count * PAGE_BYTES;
		page_count -= count;
	}
	return r < 0 ? r : tell(&span);
}
