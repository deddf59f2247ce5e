/*
 * A process that waits for the end of its vfork. It cannot be stopped, so that neither ptrace nor a parasite tells
 * anything of it; what it has in common with its child is asked of that one, the rest is read from the kernel's own
 * structures, and what nobody can tell is refused by name.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "task/task.h"

struct dump;

/* Whether this kernel tells enough to save such a process, which may have threads beside the one that waits. */
bool vfork_wait_can_be_told(struct dump *d, bool has_threads);

/* Whether the thread is in a vfork that another process with its memory has to end; -errno: it cannot be told. */
int vfork_wait_is_for(struct dump *d, const struct task *task, const struct task *child);

/* Look stage, in place of what ptrace tells; behind the files. */
int vfork_wait_look(struct dump *d, struct task *task, struct error *err);
