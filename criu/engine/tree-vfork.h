/*
 * Threads in a vfork: one stops when its child has executed another program, or has ended. That child runs until then.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct task;

/*
 * Lets the children run that were made by threads which stand in a vfork: they would stand still like all others, and
 * the threads wait for ever. *ret_tid is one of these threads, 0 if there is none. -EAGAIN: seize the task anew.
 */
int tree_let_vforked_run(struct task *task, pid_t *ret_tid, uint64_t deadline_ns, struct error *err);

/* Until that thread and all others of the task have stopped; refused when its child sleeps. */
int tree_wait_for_vfork(struct task *task, pid_t tid, uint64_t deadline_ns, struct error *err);
