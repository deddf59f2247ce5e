/* What the open stage asks before anything is created: pids, limits, sessions, kinds of state that cannot be restored.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct restore;
struct restore_shared;

/* Makes r->tasks from the images; the plan comes later. */
int restore_collect_tasks(struct restore *r, struct error *err);

/* Refuses by name; waits a few seconds for pids of zombies that are about to be reaped. */
int restore_check(const struct restore *r, struct error *err);

/* All numbers that the tree as it is planned will have; the caller frees them. */
int restore_list_pids(const struct restore *r, pid_t **ret_pids, size_t *ret_count);

/* Raises kernel.pid_max where the tree as it is planned needs it; the rescuer has to be there already. */
int restore_make_room_for_pids(struct restore *r, struct error *err);

/* After a failure: a raised kernel.pid_max is lowered again. */
void restore_put_back_pid_max(const struct restore_shared *shared);

/* "4242 (nginx)": who has that pid, as a process, a thread, a group or a session. -ENOENT: nobody that can be seen. */
int restore_describe_pid_holder(pid_t pid, char *text, size_t bytes);

/* Anything at all: as a process, thread, group or session. */
int restore_pid_is_taken(pid_t pid);
