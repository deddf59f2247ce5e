/* The list of tasks of a dump, while the tree is being found. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "engine/dump.h"

#define TREE_PID_LIMIT (1 << 22) /* the kernel's PID_MAX_LIMIT on 64-bit */

/* Behind all others; -ESRCH without a sentence when the process is gone. maker_tid: the thread that made it. */
int tree_add(struct dump *d, pid_t pid, struct task *parent, pid_t maker_tid, struct error *err);

/* The same for a task that is at hand, where there is room. */
void tree_append(struct dump *d, struct task *task);

bool tree_has(const struct dump *d, pid_t pid);

void tree_task_free(struct task *task);

/* Another thread than the one so far stands for the process. */
int tree_task_set_acting(struct task *task, pid_t tid, struct error *err);

/* For sentences about a task that has not been looked at yet. */
void tree_task_name(struct task *task);

/* For a while: the next walk seizes it anew. */
int tree_task_let_run(struct task *task, struct error *err);

int tree_task_read_stat(struct task *task, struct error *err);

/* Makes ended_leader where the first thread has ended; 0 or -ENOMEM. */
int tree_task_add_ended_leader(struct task *task);
