/* What the open stage asks before anything is created: pids, limits, sessions, kinds of state that cannot be restored.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct restore;

/* Makes r->tasks from the images; the plan comes later. */
int restore_collect_tasks(struct restore *r, struct error *err);

/* Refuses by name; waits a few seconds for pids of zombies that are about to be reaped. */
int restore_check(struct restore *r, struct error *err);

/* After a failure: a raised kernel.pid_max is lowered again; 0: it was not raised. */
void restore_put_back_pid_max(uint64_t pid_max_before);

/* "4242 (nginx)": who has that pid, as a process, a thread, a group or a session. -ENOENT: nobody that can be seen. */
int restore_describe_pid_holder(pid_t pid, char *text, size_t bytes);

/* Anything at all: as a process, thread, group or session. */
int restore_pid_is_taken(pid_t pid);
