/* File locks and leases of a tree: filelocks.img. Only for criu/files/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct checked_task;
struct dump;
struct restore;
struct restore_task;
struct task;

/* Look stage, when the kinds are known: finds the locks of the tree, and refuses them without --file-locks. */
int locks_look(struct dump *d, struct error *err);
int locks_save(struct dump *d, struct error *err);
void locks_free(struct dump *d);

/* Look stage, behind locks_look(): whether the process holds a record lock. */
bool locks_has_record(const struct dump *d, const struct task *task);

int locks_check(struct restore *r, struct error *err);

/* In the process of task, when its descriptors are complete. */
int locks_restore(struct restore *r, struct restore_task *task, struct error *err);

/* The record locks that the restorer of a task takes again, and what they take from the area. */
uint64_t locks_room(const struct restore *r, const struct checked_task *task);
int locks_plan(struct restore *r, struct restore_task *task, struct error *err);

void locks_restore_free(struct restore *r);
