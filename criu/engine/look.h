/*
 * The look stage: everything about a tree that can be read from outside, and the refusal of what cannot be saved. The
 * same steps serve a dump, where the tree stands still, and criu check --pid, where it runs on (d->is_live). Refusals
 * are gathered in d->refusals and are no failure of a step: a step fails when it cannot look.
 */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "engine/dump.h"
#include "engine/memory-side.h"
#include "ns/ns-look.h"

/* What the tree is compared with. */
struct look_own {
	struct proc_ns_ids ns;
	struct buffer cgroups;
};

int look_read_own(struct look_own *ret_own, struct error *err);
void look_own_done(struct look_own *own);

void look_sessions(struct dump *d);

/* One task by itself; by any thread. */
int look_task(struct dump *d, const struct look_own *own, struct task *task, struct error *err);

/*
 * After every task by itself: files, memory, what they share. In the tracer's thread. memory is started here, and has
 * to be finished by the caller.
 */
int look_tree(struct dump *d, struct memory_side *memory, bool is_worth_a_thread, struct error *err);

void look_free(struct dump *d);
