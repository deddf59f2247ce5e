/*
 * What a process has beside its memory and files, as instructions for the restorer blob: signal handlers, pending
 * signals, timers, and the switches of prctl(2); and its threads with registers, masks and names.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "image/image-check.h"
#include "task/restore-creds.h"

struct restore;
struct restore_task;

/* Open stage: refuses by name what cannot be brought back here. */
int restore_process_check(const struct restore *r, const struct own_creds *own, const struct checked_task *task,
			  struct error *err);

/* What restore_process_plan() takes from the area at most, stacks included. */
uint64_t restore_process_room(const struct restore *r, const struct checked_task *task);

/* In the worker: fills all of task->restorer but the memory part. */
int restore_process_plan(struct restore *r, const struct own_creds *own, struct restore_task *task, struct error *err);
