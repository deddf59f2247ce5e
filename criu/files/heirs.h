/* Descriptors of processes that are created by the restorer of another one, and what every process closes. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "image/image-check.h"

struct restore;
struct restore_task;

/*
 * After files_check(): whether a child that the creator forks when its files are complete has everything it needs of
 * descriptors, directories and locks: the same descriptions at the same numbers, or fewer.
 */
bool files_can_inherit(const struct restore *r, const struct restore_task *task, const struct restore_task *creator);

/* What files_plan_closing() takes from the area at most. */
uint64_t files_closing_room(const struct restore *r, const struct checked_task *task);

/* Fills the closings of task->restorer: all numbers that its table has not; and what closing takes away. */
int files_plan_closing(struct restore *r, struct restore_task *task, struct error *err);
