/* Filters are asked for twice: once for their length, once for their content. */
#include "kernel/seccomp.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ptrace.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/missing-ptrace.h"
#include "kernel/missing-seccomp.h"

/* 0 where the kernel has no such request: flags came later than filters. */
static int read_flags(pid_t tid, unsigned index, uint64_t *ret)
{
	struct seccomp_filter_metadata metadata = { .filter_off = index };
	long bytes = ptrace(PTRACE_SECCOMP_GET_METADATA, tid, sizeof(metadata), &metadata);

	if (bytes < 0 && errno != EIO && errno != EINVAL)
		return -errno;
	*ret = bytes < 0 ? 0 : metadata.flags;
	return 0;
}

int seccomp_read_filter(pid_t tid, unsigned index, struct seccomp_filter *ret)
{
	struct seccomp_filter filter = { 0 };
	AUTO_FREE struct sock_filter *instructions = NULL;
	long count = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, NULL);
	int r;

	if (count < 0)
		return -errno;
	instructions = calloc((size_t)count, sizeof(*instructions));
	if (!instructions)
		return -ENOMEM;
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, instructions) != count)
		return -errno;
	r = read_flags(tid, index, &filter.flags);
	if (r < 0)
		return r;
	filter.instruction_count = (size_t)count;
	filter.instructions = TAKE_PTR(instructions);
	*ret = filter;
	return 0;
}

void seccomp_filter_done(struct seccomp_filter *filter)
{
	free(TAKE_PTR(filter->instructions));
	filter->instruction_count = 0;
}

static int read_all_filters(pid_t tid, struct seccomp_filter **filters, size_t *count)
{
	size_t capacity = 0;

	for (;;) {
		int r = array_reserve(filters, &capacity, *count, sizeof(**filters));

		if (r < 0)
			return r;
		r = seccomp_read_filter(tid, (unsigned)*count, &(*filters)[*count]);
		if (r == -ENOENT || (r == -EINVAL && *count == 0))
			return 0;
		if (r < 0)
			return r;
		(*count)++;
	}
}

int seccomp_read_filters(pid_t tid, struct seccomp_filter **ret, size_t *ret_count)
{
	struct seccomp_filter *filters = NULL;
	size_t count = 0;
	int r = read_all_filters(tid, &filters, &count);

	if (r < 0) {
		seccomp_filters_free(filters, count);
		return r;
	}
	*ret = filters;
	*ret_count = count;
	return 0;
}

void seccomp_filters_free(struct seccomp_filter *filters, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		seccomp_filter_done(&filters[i]);
	free(filters);
}
