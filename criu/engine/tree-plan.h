/*
 * The plan of a process tree: who creates whom, and when, so that each process ends up with its parent, session and
 * process group. A process can only be born into the session of its creator, and only join a group of that session:
 *
 *	- children that do not belong to their parent's session are created before the parent calls setsid();
 *	- a child left over from a session that its parent was never in is created by a sibling that is in it, with
 *	  CLONE_PARENT; where the session's leader is dead a helper with its pid takes its place for a while;
 *	- a child that was once orphaned into its parent's care is orphaned again, by a go-between that exits;
 *	- a child that shares the descriptor table of an older sibling, and not that of its parent, is created by
 *	  that sibling;
 *	- a group whose leader is dead gets a helper with its pid, too.
 *
 * Helpers come last in the list of tasks. Nothing here touches the system.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "engine/restore.h"

/* Session and group that the root is born into, for processes whose session or group leader is outside of the set. */
#define PLAN_CALLERS 0

/*
 * Tasks with pid, pgid, sid, parent and is_zombie set, parents before children, the root first; on success links,
 * creators and helpers are filled in and r->tasks has grown. Sessions and groups that the root belongs to without
 * leading them are taken to be the caller's (the root's sid and pgid become PLAN_CALLERS, also in other tasks); with
 * r->ended_session the session is that one, and the group the one of the same number.
 * pid_in_use says which numbers a go-between may not get (of the set itself they are known).
 */
int tree_plan_make(struct restore *r, bool (*pid_in_use)(pid_t pid), struct error *err);

struct restore_task *tree_plan_new_task(struct restore *r, struct error *err);
void tree_plan_free(struct restore *r);

/* One line per task for the debug log. */
void tree_plan_log(const struct restore *r);
