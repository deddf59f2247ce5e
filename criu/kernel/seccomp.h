/*
 * Seccomp filters of a stopped tracee. Needs CAP_SYS_ADMIN in the initial user namespace and a reader that is not under
 * seccomp itself: -EACCES otherwise.
 */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct seccomp_filter {
	struct sock_filter *instructions;
	size_t instruction_count;
	uint64_t flags; /* SECCOMP_FILTER_FLAG_LOG ...; 0 where the kernel cannot tell (before 4.16) */
};

/* Filter 0 is the oldest. -ENOENT behind the newest; -EINVAL when the task is not in filter mode. */
int seccomp_read_filter(pid_t tid, unsigned index, struct seccomp_filter *ret);
void seccomp_filter_done(struct seccomp_filter *filter);

/* All filters of a thread, oldest first; none is an empty list. seccomp_filters_free() releases them. */
int seccomp_read_filters(pid_t tid, struct seccomp_filter **ret, size_t *ret_count);
void seccomp_filters_free(struct seccomp_filter *filters, size_t count);
