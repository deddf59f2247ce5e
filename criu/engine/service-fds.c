/* A program may keep descriptors just below its limit, as valgrind does: then there is no room above them. */
#include "engine/service-fds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/restore.h"
#include "files/files.h"
#include "image/image-check.h"
#include "images/fdinfo.pb-c.h"

#define ROUND 64
#define ROOM  128 /* more than most sets need */
#define LEAST 24  /* a gap below this is not worth trying; in one that turns out too small the restore fails later */

static int base_above(int highest)
{
	return (highest + 1 + ROUND) / ROUND * ROUND;
}

unsigned long service_fds_wish(const struct restore *r)
{
	return (unsigned long)base_above(files_highest_fd(r->images)) + ROOM;
}

static int compare_numbers(const void *a, const void *b)
{
	const int x = *(const int *)a, y = *(const int *)b;

	return x < y ? -1 : x > y;
}

/* The numbers of all tables, ascending, with a last one at the limit. */
static int list_numbers(const struct checked_set *images, int limit, int **ret_numbers, size_t *ret_count)
{
	size_t count = 0;
	int *numbers;

	for (size_t i = 0; i < images->fd_table_count; i++)
		count += images->fd_tables[i].count;
	numbers = calloc(count + 1, sizeof(*numbers));
	if (!numbers)
		return -ENOMEM;
	*ret_count = 0;
	for (size_t i = 0; i < images->fd_table_count; i++)
		for (size_t k = 0; k < images->fd_tables[i].count; k++)
			numbers[(*ret_count)++] = (int)images->fd_tables[i].entries[k]->fd;
	numbers[(*ret_count)++] = limit;
	qsort(numbers, *ret_count, sizeof(*numbers), compare_numbers);
	*ret_numbers = numbers;
	return 0;
}

static int find_gap(struct restore *r, int limit)
{
	AUTO_FREE int *numbers = NULL;
	size_t count;
	int next = 0, result = list_numbers(r->images, limit, &numbers, &count);

	if (result < 0)
		return result;
	r->service_fd_base = r->service_fd_end = 0;
	for (size_t i = 0; i < count; i++) {
		if (numbers[i] - next > r->service_fd_end - r->service_fd_base) {
			r->service_fd_base = next;
			r->service_fd_end = numbers[i];
		}
		next = numbers[i] + 1;
	}
	return r->service_fd_end - r->service_fd_base >= LEAST ? 0 : -EMFILE;
}

int service_fds_place(struct restore *r, unsigned long limit, struct error *err)
{
	const int highest = files_highest_fd(r->images);
	int result;

	r->service_fd_base = base_above(highest);
	r->service_fd_end = INT_MAX;
	if (service_fds_wish(r) <= limit)
		return 0;
	result = highest < 0 || (unsigned long)highest < limit ? find_gap(r, (int)min_u64(limit, INT_MAX)) : -EMFILE;
	if (result != -EMFILE)
		return result < 0 ? error_set(err, result, "descriptor numbers") : 0;
	error_hint(err, "raise the limit of open files (ulimit -n)");
	return error_say(err, -EMFILE,
			 "the set has descriptor %d; with RLIMIT_NOFILE at %lu there is no room beside it for those of "
			 "the restore",
			 highest, limit);
}

size_t service_fds_room(const struct restore *r)
{
	const uint64_t base = (uint64_t)r->service_fd_base + ROOM;
	struct rlimit limit;
	uint64_t end;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	end = min_u64((uint64_t)r->service_fd_end, limit.rlim_cur);
	return end > base ? end - base : 0;
}

bool service_fds_has(const struct restore *r, int fd)
{
	return fd >= r->service_fd_base && fd < r->service_fd_end;
}

int service_fds_copy(const struct restore *r, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, r->service_fd_base);

	if (copy < 0)
		return -errno;
	if (service_fds_has(r, copy))
		return copy;
	(void)close(copy);
	return -EMFILE;
}
