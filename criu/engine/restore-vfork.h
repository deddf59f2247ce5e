/*
 * Processes that wait for the end of their vfork, and their children. The parent is restored like any other, to the
 * end: for once it waits nothing can be done with it. Then it is traced and makes its child, in the memory they have in
 * common, and is stopped behind that, before it begins to wait; there it gets its registers. So it is complete before
 * the commit point, and whatever becomes of us it waits.
 *
 * Files that the child has and its parent has not are opened by the parent, taken from there by the worker, and sent to
 * the child when it is there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image-check.h"

struct restore;
struct restore_task;
struct restorer_thread;

/* True of the thread that is going to wait, or does already: it is complete by the commit point. */
bool restore_vfork_is_waiter(const struct restorer_thread *thread);

/* When the tree is planned: whether such a child can be made. */
int restore_vfork_check(const struct restore *r, struct error *err);

/* What the child takes from the area, and what it is told in place of a plan of its memory. */
uint64_t restore_vfork_room(const struct checked_task *child);
int restore_vfork_plan(struct restore *r, struct restore_task *child, struct error *err);

/* In the process of the parent, when its files and those it lends are open: until the worker has taken them. */
void restore_vfork_offer(const struct restore *r, const struct restore_task *child);

/* In the worker, whenever it waits: takes what is offered, and sends what is wanted. */
int restore_vfork_serve(const struct restore *r, struct error *err);

void restore_vfork_free(struct restore_task *task);

/* In the worker: waits until all others are ready, and lets the children be made one after the other. */
int restore_vfork_all(struct restore *r, struct error *err);
