/*
 * Threads in a vfork: one stops when its child has executed another program, or has ended. That child runs until then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct dump;
struct task;

/*
 * Lets the children run that were made by threads which stand in a vfork: they would stand still like all others, and
 * the threads wait for ever. *ret_tid is one of these threads, 0 if there is none. -EAGAIN: seize the task anew.
 */
int tree_let_vforked_run(struct dump *d, struct task *task, pid_t *ret_tid, uint64_t deadline_ns, struct error *err);

/*
 * Until that thread and all others of the task have stopped. Where its child sleeps it is left waiting alone, and
 * vfork_tid set; or refused, where that is not enough to save it.
 */
int tree_wait_for_vfork(struct dump *d, struct task *task, pid_t tid, uint64_t deadline_ns, struct error *err);

/* In place of waiting for one that is left waiting: whether it still does. -ETIMEDOUT: it does, but not alone. */
int tree_look_at_vfork(struct task *task, struct error *err);

/* When all others stand still: finds the children of those that are left waiting. *ret_again: their wait is over. */
int tree_confirm_vforks(struct dump *d, size_t *ret_again, struct error *err);

/* Of a tree that runs on: whether the task waits for the end of its vfork by that child. */
bool tree_waits_in_vfork(const struct task *task, const struct task *child);
