/* File locks and leases of a tree: filelocks.img. Only for criu/files/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "images/regfile.pb-c.h"

struct checked_task;
struct dump;
struct open_file;
struct restore;
struct restore_task;
struct task;

/*
 * Look stage, when mappings are known and before files are looked into: finds the locks of the tree, and refuses them
 * without --file-locks.
 */
int locks_look(struct dump *d, struct error *err);
int locks_save(struct dump *d, struct error *err);
void locks_free(struct dump *d);

/*
 * Behind locks_look(): the description through which somebody has a lease on the same inode that opening it would
 * break, NULL when there is none.
 */
struct open_file *locks_lease_on(const struct dump *d, const struct open_file *file);

/* Look stage, behind locks_look(): whether the process holds a record lock. */
bool locks_has_record(const struct dump *d, const struct task *task);

int locks_check(struct restore *r, struct error *err);

/* Whether opening a file again could break a lease of the tree: whoever has it open has to have done so before. */
bool locks_have_lease(const struct restore *r);

/* In the process of task, when its descriptors are complete. */
int locks_restore(struct restore *r, struct restore_task *task, struct error *err);

/* fd, from which task will map the file: takes the lock of flock(2) that such a mapping keeps, if task's does. */
int locks_restore_kept(const struct restore_task *task, const RegFileEntry *entry, uint32_t open_flags, int fd,
		       struct error *err);

/* The record locks that the restorer of a task takes again, and what they take from the area. */
uint64_t locks_room(const struct restore *r, const struct checked_task *task);
int locks_plan(struct restore *r, struct restore_task *task, struct error *err);

void locks_restore_free(struct restore *r);
