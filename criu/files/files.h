/*
 * The open files of a tree: finding them, telling shared descriptions from equal ones, saving and restoring them.
 */
#pragma once

#include "files/file-kind.h"

struct checked_set;
struct checked_task;
struct dump;
struct restore;
struct restore_task;

/* --- dump ----------------------------------------------------------------------------------------------------- */

/*
 * Early, when the size of the root's descriptor table is known: what a large one is read by is made ready by a thread
 * of its own, until files_look() needs it.
 */
void files_prepare(struct dump *d, size_t table_size);

/* When the tree stands still: what was made ready is used for the root at once, beside what comes before files_look().
 */
void files_look_ahead(struct dump *d);

/*
 * Look stage, once for the whole tree: reads every task's descriptors (tables shared with CLONE_FILES once: files_owner
 * and files_id are set here), its exe, cwd, root and mapped files; finds shared descriptions (sorted by identity, kcmp
 * only between true candidates); chooses kinds; runs every look(), whose refusals are gathered in d->refusals. Ids are
 * given here.
 */
int files_look(struct dump *d, struct error *err);

/*
 * Look stage, behind files_look(): refuses by name what the child of a vfork that has not ended has and could not be
 * given, or is known for.
 */
int files_check_vforked(struct dump *d, const struct task *child, struct error *err);

/* Save stage: fdinfo-N.img of the task's table, if that is its own, and fs-PID.img. Any thread, several tasks at once.
 */
int files_save_task(struct dump *d, const struct task *task, struct error *err);

/* Save stage: files.img and the kinds' payload images. Closes every local_fd. */
int files_save(struct dump *d, struct error *err);

/* Links made by --link-remap are taken back unless the set was finished. */
void files_free(struct dump *d);

/* --- restore -------------------------------------------------------------------------------------------------- */

/*
 * Before anything is created: builds the restore_files from the checked set, finds owners, runs every check(). All
 * missing or changed files are named, each with pid and descriptor (or "mapped", "cwd", ...), not only the first. Files
 * given with
 * --inherit-fd are moved into the range of our own, which must have a place (engine/service-fds.h).
 */
int files_check(struct restore *r, struct error *err);

/* In the process of task, before it forks: opens the descriptions it owns that others use too. */
int files_open_shared(struct restore *r, struct restore_task *task, struct error *err);

/* In the process of task, when it leads its session and before it creates the rest of it: its controlling terminal. */
int files_take_terminal(struct restore *r, struct restore_task *task, struct error *err);

/* Whether the process has none although its session has; in the process, when its files are there: gives it up. */
bool files_left_terminal(const struct restore_task *task);
int files_leave_terminal(const struct restore_task *task, struct error *err);

/*
 * In the process of task, once it and all who use its table have created what they create: its descriptor table as in
 * the images. What is not of it is closed; what is open in the range of our own is left for
 * the caller to close at the end.
 */
int files_install(struct restore *r, struct restore_task *task, struct error *err);

/* In the process of task, when all tasks have installed theirs: the finish() of each kind. */
int files_finish(struct restore *r, struct restore_task *task, struct error *err);

/*
 * Of a child that the restorer makes by vfork: before anything is created, whether its files can be lent; what it takes
 * from the area; and in the process of its parent, when the files of that are finished, opens and lends them.
 */
int files_check_lent(const struct restore *r, const struct restore_task *child, struct error *err);
uint64_t files_lending_room(const struct checked_task *child);
int files_lend(struct restore *r, struct restore_task *child, struct error *err);

/* In the restorer itself, when all threads are there: those that are told of files. */
int files_own_by_threads(struct restore *r, struct error *err);

/* In the worker, when all tasks are complete and before any of them runs: the settle() of each kind. */
int files_settle(struct restore *r, struct error *err);

/* In the process of task: cwd, root and umask (fs-PID.img). */
int files_restore_fs(struct restore *r, struct restore_task *task, struct error *err);

/* In the process of task: a descriptor for mapping (or exe), with the given open flags. The caller closes it. */
int files_open_for_mapping(struct restore *r, struct restore_task *task, uint32_t file_id, uint32_t open_flags,
			   int *ret_fd, struct error *err);

/* After files_check(): whether some finish() needs other tasks to be there (pidfds, signal owners, files of /proc/PID).
 */
bool files_need_all_tasks(const struct restore *r);

/* When all files are open: removes the links that this restore made for them. */
void files_remove_own_links(struct restore *r);

/* When the restore has succeeded: removes the links that the dump made for files without a name. */
void files_remove_links(struct restore *r);
void files_restore_free(struct restore *r);

/* At most so many descriptors are held for files without a name while the tree is made. */
size_t files_count_deleted(const struct checked_set *images);

/* The highest descriptor number of any table, -1 without any. */
int files_highest_fd(const struct checked_set *images);
