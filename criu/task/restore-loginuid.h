/*
 * The login uid of audit, and who is in one login session by it. It can only be set by oneself, and whoever sets it
 * begins a session under a new number; children and threads inherit both.
 */
#pragma once

#include "base/error.h"

struct caller;
struct restore;
struct restore_task;

/* When it is known who creates whom: sets restore_task.sets_loginuid. */
int restore_loginuid_plan(struct restore *r, struct error *err);

/* In the process itself, before it creates others that inherit it. */
int restore_loginuid_early(const struct restore_task *task, struct error *err);

/* The same before it gives up rights; and of one of its threads. */
int restore_loginuid(const struct restore_task *task, struct error *err);
int restore_loginuid_of_thread(const struct restore_task *task, const struct caller *thread, struct error *err);

/* Whether a task that the other one forks in the end is in its session, with its login uid, by that. */
bool restore_loginuid_is_same(const struct restore_task *task, const struct restore_task *creator);
