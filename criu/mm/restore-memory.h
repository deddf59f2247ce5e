/*
 * The address space of a restored task, as instructions for the restorer blob: which mappings to make, where their
 * contents are, and which files have to be open for that.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image-check.h"

struct restore;
struct restore_task;

/* Tasks with more private content than this are filled from outside, by several threads: mappings that are worth it. */
#define LARGE_MEMORY_BYTES  (8u << 20)
#define LARGE_MAPPING_BYTES (64u << 10)

/* Open stage: refuses by name what cannot be made again. */
int restore_memory_check(const struct restore *r, const struct checked_task *task, struct error *err);

/* What restore_memory_plan() takes from the area at most. */
uint64_t restore_memory_room(const struct checked_task *task);

/* In the worker: fills the memory part of task->restorer. */
int restore_memory_plan(struct restore *r, struct restore_task *task, struct error *err);

/* In the process of task: opens the files that its mappings, contents and exe link need. */
int restore_memory_open(struct restore *r, struct restore_task *task, struct error *err);

/* In the worker: a descriptor of the pages file with this number in restorer->files; not to be closed. */
int restore_memory_pages_fd(struct restore_task *task, int file, struct error *err);

/*
 * After restore_memory_plan() of both: whether all files that the task needs are open in its creator, or one pages file
 * that can be opened by its name; then, that it is so.
 */
bool restore_memory_can_inherit(const struct restore *r, const struct restore_task *task,
				const struct restore_task *creator);
void restore_memory_inherit(const struct restore *r, struct restore_task *task, const struct restore_task *creator);

void restore_memory_free(struct restore_task *task);
