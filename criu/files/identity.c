/*
 * Which descriptors stand for one open file description. Only kcmp(2) can tell, at a microsecond a call, so files are
 * sorted by what is known of them first and only true candidates are compared. Its answers are a total order: a group
 * of candidates is built up by sorted insertion. Thousands of look-alikes are better identified by other means, where
 * the kernel has them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "files/registry.h"

/* So many comparisons take about as long as starting to identify files otherwise. */
#define MANY_COMPARISONS 1000

struct candidate {
	struct open_file *file;
	size_t index;
};

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Two descriptors of one description agree in all of these. */
static int compare_looks(const struct open_file *a, const struct open_file *b)
{
	int order = compare_u64(a->st.st_dev, b->st.st_dev);

	if (!order)
		order = compare_u64(a->st.st_ino, b->st.st_ino);
	if (!order)
		order = compare_u64(a->flags, b->flags);
	if (!order)
		order = compare_u64(a->pos, b->pos);
	if (!order)
		order = compare_u64((uint64_t)a->mnt_id, (uint64_t)b->mnt_id);
	if (!order)
		order = compare_u64(a->serial, b->serial);
	return order;
}

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = compare_looks(x->file, y->file);

	return order ? order : compare_u64(x->index, y->index);
}

struct numbered {
	uint64_t serial;
	size_t index;
};

static int compare_numbered(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	int order = compare_u64(x->serial, y->serial);

	return order ? order : compare_u64(x->index, y->index);
}

int identity_by_serials(struct open_file *const *files, size_t count, size_t *ret_first)
{
	AUTO_FREE struct numbered *sorted = calloc(count + 1, sizeof(struct numbered));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = (struct numbered){ .serial = files[i]->serial, .index = i };
	qsort(sorted, count, sizeof(*sorted), compare_numbered);
	for (size_t i = 0; i < count; i++) {
		bool same = i > 0 && sorted[i].serial == sorted[i - 1].serial;

		ret_first[sorted[i].index] = same ? ret_first[sorted[i - 1].index] : sorted[i].index;
	}
	return 0;
}

/* Distinct descriptions of a group, in kcmp's order. */
struct sorted_files {
	struct candidate *items;
	size_t count;
};

/* Finds the place of file: *ret_same tells whether the one that stands there is the same description. */
static int find_place(const struct sorted_files *sorted, const struct open_file *file, const struct file_order *order,
		      size_t *ret_place, bool *ret_same)
{
	size_t low = 0, high = sorted->count;

	*ret_same = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int answer, r;

		r = order->compare(file, sorted->items[middle].file, &answer);
		if (r < 0)
			return r;
		if (answer == 0) {
			*ret_place = middle;
			*ret_same = true;
			return 0;
		}
		if (answer < 0)
			high = middle;
		else
			low = middle + 1;
	}
	*ret_place = low;
	return 0;
}

static int resolve_group(const struct candidate *group, size_t count, const struct file_order *order,
			 struct sorted_files *sorted, size_t *ret_first)
{
	sorted->count = 0;
	for (size_t i = 0; i < count; i++) {
		size_t place = 0;
		bool same;
		int r;

		r = find_place(sorted, group[i].file, order, &place, &same);
		if (r < 0)
			return r;
		if (same) {
			ret_first[group[i].index] = sorted->items[place].index;
			continue;
		}
		memmove(&sorted->items[place + 1], &sorted->items[place], (sorted->count - place) * sizeof(*group));
		sorted->items[place] = group[i];
		sorted->count++;
		ret_first[group[i].index] = group[i].index;
	}
	return 0;
}

static size_t group_size(const struct candidate *candidates, size_t count)
{
	size_t n = 1;

	while (n < count && compare_looks(candidates[0].file, candidates[n].file) == 0)
		n++;
	return n;
}

static size_t count_comparisons(const struct candidate *candidates, size_t count)
{
	size_t comparisons = 0;

	for (size_t at = 0, n; at < count; at += n) {
		n = group_size(&candidates[at], count - at);
		for (size_t half = n; half > 1; half /= 2)
			comparisons += n;
	}
	return comparisons;
}

static int refine_groups(struct dump *d, struct candidate *candidates, size_t count, const struct file_order *order)
{
	AUTO_FREE struct open_file **files = calloc(count, sizeof(struct open_file *));

	if (!files)
		return -ENOMEM;
	for (size_t at = 0, n; at < count; at += n) {
		n = group_size(&candidates[at], count - at);
		if (n == 1)
			continue;
		for (size_t i = 0; i < n; i++)
			files[i] = candidates[at + i].file;
		order->refine(d, files, n);
	}
	qsort(candidates, count, sizeof(*candidates), compare_candidates);
	return 0;
}

int identity_resolve(struct dump *d, struct open_file **files, size_t count, const struct file_order *order,
		     size_t *ret_first)
{
	AUTO_FREE struct candidate *candidates = calloc(count + 1, sizeof(struct candidate));
	AUTO_FREE struct candidate *room = calloc(count + 1, sizeof(struct candidate));
	struct sorted_files sorted = { .items = room };
	int r;

	if (!candidates || !room)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		candidates[i] = (struct candidate){ .file = files[i], .index = i };
	qsort(candidates, count, sizeof(*candidates), compare_candidates);
	if (order->identify && count_comparisons(candidates, count) > MANY_COMPARISONS &&
	    order->identify(d, files, count) == 0)
		return identity_by_serials(files, count, ret_first);
	if (order->refine && count > 1) {
		r = refine_groups(d, candidates, count, order);
		if (r < 0)
			return r;
	}
	for (size_t at = 0, n; at < count; at += n) {
		n = group_size(&candidates[at], count - at);
		r = resolve_group(&candidates[at], n, order, &sorted, ret_first);
		if (r < 0)
			return r;
	}
	return 0;
}
