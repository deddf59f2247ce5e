/*
 * What System V semaphores get back when a process ends (semop(2) with SEM_UNDO). The kernel gives it back at the end
 * of a dump, too, which kills the process: somebody else may hold the semaphore by the time of the restore.
 */
#pragma once

#include "base/error.h"
#include "engine/dump.h"
#include "task/task.h"

/*
 * Refuses what cannot be brought back; a process that has given back all it took has nothing to lose. plain_pid: a
 * process that never had more than one thread and has no adjustments.
 */
int semaphore_undo_look(struct dump *d, const struct task *task, pid_t plain_pid, struct error *err);
