/* Scheduling of a thread: policy, utilisation clamps, processors, I/O priority. tid 0 is the caller. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sched_attributes {
	uint32_t policy;
	uint64_t flags; /* SCHED_FLAG_xx */
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns; /* runtime is the slice of fair tasks since 6.12 */
	uint32_t util_min, util_max;                 /* 0 and 1024 without CONFIG_UCLAMP_TASK */
	bool has_slice;                              /* to write: the runtime is a slice that was asked for */
	bool has_util_clamp;                         /* the kernel reported the clamps */
};

int sched_read_attributes(pid_t tid, struct sched_attributes *ret);

/*
 * Deadline and period are written for SCHED_DEADLINE only, the runtime for others with has_slice. Clamps are set when
 * has_util_clamp is true and the kernel knows them, and left alone otherwise.
 */
int sched_write_attributes(pid_t tid, const struct sched_attributes *attributes);

/* Bit N of word N/64 is processor N. The array belongs to the caller. */
int sched_read_affinity(pid_t tid, uint64_t **ret_words, size_t *ret_word_count);
int sched_write_affinity(pid_t tid, const uint64_t *words, size_t word_count);

/* 0: the thread is in no group of core scheduling. -EINVAL or -ENODEV: the kernel or the processor has no such groups.
 */
int sched_read_core_cookie(pid_t tid, uint64_t *ret);

/* Class in the upper bits, as ioprio_get(2) has it. */
int ioprio_read(pid_t tid, int *ret);
int ioprio_write(pid_t tid, int ioprio);
