/* Sentences about what happened in a process of the new tree. */
#pragma once

#include "base/error.h"

struct restore;
struct restore_task;

/* "pid 12 (foo)"; the buffer is the caller's. */
const char *restore_task_name(const struct restore_task *task, char *buffer, unsigned long bytes);

/* The sentence for the failure that r->shared holds. Returns the error. */
int restore_failure_describe(const struct restore *r, struct error *err);

/* The sentence for a process that could not be created. Returns r. */
int restore_creation_describe(const struct restore_task *task, int r, struct error *err);

/* A process is gone that should not be. Returns the error. */
int restore_death_describe(const struct restore *r, const struct restore_task *task, struct error *err);
