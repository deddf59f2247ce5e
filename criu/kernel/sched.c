/* The scheduling system calls, in the kernel's own layouts: the C library has none or narrower ones. */
#include "kernel/sched.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Layout of the kernel's struct sched_attr; the first version ends before the clamps. */
struct kernel_sched_attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
	uint32_t util_min;
	uint32_t util_max;
};

#define SCHED_ATTR_BYTES_0 48
#define SCHED_ATTR_BYTES_1 56

#define POLICY_NORMAL   0
#define POLICY_BATCH    3
#define POLICY_DEADLINE 6

#define FLAG_UTIL_CLAMP_MIN 0x20
#define FLAG_UTIL_CLAMP_MAX 0x40

_Static_assert(sizeof(struct kernel_sched_attr) == SCHED_ATTR_BYTES_1, "layout of the kernel's sched_attr");

#define PRIO_WHO_PROCESS 0

static int read_nice(pid_t tid, int *ret)
{
	/* The system call answers 1 to 40, so that errors stay apart. */
	long priority = syscall(SYS_getpriority, PRIO_WHO_PROCESS, tid);

	if (priority < 0)
		return -errno;
	*ret = 20 - (int)priority;
	return 0;
}

static int write_nice(pid_t tid, int nice)
{
	return syscall(SYS_setpriority, PRIO_WHO_PROCESS, tid, nice) < 0 ? -errno : 0;
}

/* Elsewhere the kernel neither reports nor takes the nice value, and keeps it for when the policy changes. */
static bool nice_goes_along(uint32_t policy)
{
	return policy == POLICY_NORMAL || policy == POLICY_BATCH;
}

int sched_read_attributes(pid_t tid, struct sched_attributes *ret)
{
	struct kernel_sched_attr attr = { .util_max = 1024 };

	if (syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0) < 0)
		return -errno;
	*ret = (struct sched_attributes){
		.policy = attr.policy,
		.flags = attr.flags,
		.nice = attr.nice,
		.priority = attr.priority,
		.runtime_ns = attr.runtime,
		.deadline_ns = attr.deadline,
		.period_ns = attr.period,
		.util_min = attr.util_min,
		.util_max = attr.util_max,
		/* The kernel answers with the size it knows; a kernel without clamps leaves both at 0. */
		.has_util_clamp = attr.size >= SCHED_ATTR_BYTES_1 && attr.util_max != 0,
	};
	if (!ret->has_util_clamp)
		ret->util_max = 1024;
	return nice_goes_along(ret->policy) ? 0 : read_nice(tid, &ret->nice);
}

static int set_attributes(pid_t tid, const struct sched_attributes *attributes)
{
	struct kernel_sched_attr attr = {
		.size = attributes->has_util_clamp ? SCHED_ATTR_BYTES_1 : SCHED_ATTR_BYTES_0,
		.policy = attributes->policy,
		.flags = attributes->flags & ~(uint64_t)(FLAG_UTIL_CLAMP_MIN | FLAG_UTIL_CLAMP_MAX),
		.nice = attributes->nice,
		.priority = attributes->priority,
		.util_min = attributes->util_min,
		.util_max = attributes->util_max,
	};

	/* Elsewhere the runtime that was read may be the default slice, and writing it would pin it. */
	if (attributes->has_slice)
		attr.runtime = attributes->runtime_ns;
	if (attributes->policy == POLICY_DEADLINE) {
		attr.runtime = attributes->runtime_ns;
		attr.deadline = attributes->deadline_ns;
		attr.period = attributes->period_ns;
	}
	if (attributes->has_util_clamp) {
		attr.flags |= FLAG_UTIL_CLAMP_MIN | FLAG_UTIL_CLAMP_MAX;
		if (syscall(SYS_sched_setattr, tid, &attr, 0) == 0)
			return 0;
		if (errno != EOPNOTSUPP && errno != E2BIG)
			return -errno;
		attr.flags &= ~(uint64_t)(FLAG_UTIL_CLAMP_MIN | FLAG_UTIL_CLAMP_MAX);
		attr.size = SCHED_ATTR_BYTES_0;
	}
	return syscall(SYS_sched_setattr, tid, &attr, 0) < 0 ? -errno : 0;
}

int sched_write_attributes(pid_t tid, const struct sched_attributes *attributes)
{
	int r = set_attributes(tid, attributes);

	return r < 0 || nice_goes_along(attributes->policy) ? r : write_nice(tid, attributes->nice);
}

int sched_read_affinity(pid_t tid, uint64_t **ret_words, size_t *ret_word_count)
{
	size_t capacity = 16;

	/* The kernel wants room for all processors it was built for and answers how much it used. */
	for (; capacity <= 65536; capacity *= 4) {
		AUTO_FREE uint64_t *words = calloc(capacity, sizeof(*words));
		long bytes;

		if (!words)
			return -ENOMEM;
		bytes = syscall(SYS_sched_getaffinity, tid, capacity * sizeof(*words), words);
		if (bytes >= 0) {
			*ret_word_count = ((size_t)bytes + sizeof(*words) - 1) / sizeof(*words);
			*ret_words = TAKE_PTR(words);
			return 0;
		}
		if (errno != EINVAL)
			return -errno;
	}
	return -EINVAL;
}

int sched_write_affinity(pid_t tid, const uint64_t *words, size_t word_count)
{
	return syscall(SYS_sched_setaffinity, tid, word_count * sizeof(*words), words) < 0 ? -errno : 0;
}

#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE              62
#define PR_SCHED_CORE_GET          0
#define PR_SCHED_CORE_SCOPE_THREAD 0
#endif

int sched_read_core_cookie(pid_t tid, uint64_t *ret)
{
	return prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, tid, PR_SCHED_CORE_SCOPE_THREAD, ret) < 0 ? -errno : 0;
}

#define IOPRIO_WHO_ONE_PROCESS 1

int ioprio_read(pid_t tid, int *ret)
{
	long ioprio = syscall(SYS_ioprio_get, IOPRIO_WHO_ONE_PROCESS, tid);

	if (ioprio < 0)
		return -errno;
	*ret = (int)ioprio;
	return 0;
}

int ioprio_write(pid_t tid, int ioprio)
{
	return syscall(SYS_ioprio_set, IOPRIO_WHO_ONE_PROCESS, tid, ioprio) < 0 ? -errno : 0;
}
