/* The tree of a dump: found and frozen; tree-settle.h tells what becomes of it. */
#pragma once

#include "base/error.h"
#include "engine/dump.h"

/*
 * Collect stage: the root is looked at and refused if it cannot be dumped (gone, ourselves or an ancestor, a kernel
 * thread, a zombie). Nothing is stopped.
 */
int tree_collect(struct dump *d, struct error *err);

/* Freeze stage: all processes below the root and all their threads stand still; registers and masks are known. */
int tree_freeze(struct dump *d, struct error *err);

/* The same walk over a tree that runs on: nothing is stopped, and what starts or ends meanwhile may be missed. */
int tree_walk(struct dump *d, struct error *err);

/* Look stage: sessions and groups must lead to tasks of the tree, or be allowed to lead out of it (--shell-job). */
int tree_check_sessions(struct dump *d, struct error *err);

/* Refuses a task of which a thread is traced by somebody else. */
int tree_check_tracer(const struct task *task, struct error *err);

void tree_free(struct dump *d);
