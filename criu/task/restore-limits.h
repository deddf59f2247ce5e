/*
 * What is set on a restored process from outside once everything else is done, because it might get in the way before:
 * resource limits, scheduling, the OOM score, the core dump filter. Only what differs from what the worker has itself
 * (and its children inherited) is set.
 */
#pragma once

#include <sys/resource.h>

#include "base/error.h"
#include "image/image-check.h"
#include "kernel/sched.h"

struct restore;
struct restore_task;

/* What new processes inherit. */
struct own_limits {
	struct rlimit limits[RLIM_NLIMITS];
	struct sched_attributes sched;
	uint64_t *affinity;
	size_t affinity_words;
	int ioprio;
	int oom_score_adj;
	uint32_t coredump_filter;
	uint32_t loginuid;
	uint64_t timer_slack_ns;
	long request_keyring;  /* see KEYCTL_SET_REQKEY_KEYRING; -1: not known */
	bool may_raise;        /* CAP_SYS_RESOURCE */
	bool may_set_loginuid; /* also once more: CAP_AUDIT_CONTROL */
};

int own_limits_read(struct own_limits *ret);
void own_limits_done(struct own_limits *own);

/* Open stage: limits above our own hard ones. */
int restore_limits_check(const struct own_limits *own, const struct checked_task *task, struct error *err);

/* What the process is to lower itself. */
void restore_limits_plan(const struct own_limits *own, const struct restore_task *task);

/* In the worker, on a process whose threads all exist and wait. */
int restore_limits_apply(const struct own_limits *own, const struct restore_task *task, struct error *err);

/* In a process that is to be a zombie: its scheduling and OOM score. */
int restore_limits_apply_ended(const struct own_limits *own, const EndedEntry *ended, struct error *err);
