/*
 * The order of siblings. wait(2) looks at a parent's children in the order in which they came to it, by birth or as
 * orphans; so do those who read /proc/PID/task/TID/children. The list of tasks has siblings in that order, and a
 * restore brings them to their parent one after the other, whoever makes them: each names the one it comes behind. Of a
 * parent with threads each has a list of its own.
 *
 * Who is created before its parent starts a session comes before all others. A sibling whose creator comes later has no
 * place in the order, and where waiting for one another would end in a circle orphans have none, or nobody.
 */
#pragma once

#include "base/error.h"
#include "engine/restore.h"

/* When creators are known and their lists of created are in order: fills in restore_task.older and .may_lose_place. */
int birth_order_make(struct restore *r, struct error *err);
