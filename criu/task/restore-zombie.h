/*
 * The end of a process that was a zombie: it exits with its code, or by its signal. That a core was dumped is part of
 * what its parent learns, so one is dumped again: where nobody finds it. So is whose it was: it takes its ids first.
 */
#pragma once

#include "base/error.h"
#include "image/image-check.h"
#include "task/restore-creds.h"

struct restore;
struct restore_task;

/* Open stage: refuses by name an end that cannot be had here. */
int restore_zombie_check(const struct own_creds *own, const struct checked_task *task, struct error *err);

/* In the process itself, behind all else that it does. */
int restore_zombie_prepare(const struct restore *r, const struct restore_task *task, struct error *err);
/* Then, in front of its end: what gets in the way of anything else. */
void restore_zombie_show(const TaskCoreEntry *tc);
_Noreturn void restore_zombie_end_as(const TaskCoreEntry *tc);

/* One of which nothing but its end is seen; status is that of wait(). */
_Noreturn void restore_zombie_end(int status);
