/*
 * Files that stand for a thread other than the first one of its process: pidfds (PIDFD_THREAD) and what is below the
 * thread's directory in /proc. Threads come into being in the restorer, which opens these files then, in place of what
 * keeps their numbers until then. Only for criu/files/.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct checked_task;
struct dump;
struct open_file;
struct restore;
struct restore_file;
struct restore_task;
typedef struct EventpollTfdEntry EventpollTfdEntry;

/* Look stage: refuses a file of a thread that another process than the thread's own has. */
int thread_file_look(const struct dump *d, const struct open_file *file, pid_t tid, struct error *err);

bool thread_is_of_tree(const struct dump *d, pid_t tid);
/* The thread that a path below /proc is of, 0: none of the tree. */
pid_t thread_of_path(const struct dump *d, const char *path);

/* The same at restore, from what is in the images. */
pid_t thread_of_images(const struct restore *r, const char *path);

/* The file will be opened by the restorer of the only task that has it: 0, or a refusal if that cannot be. */
int thread_file_check(struct restore *r, struct restore_file *file, pid_t tid, struct error *err);

/* Such a file is watched: the restorer adds it to the epoll. */
bool thread_file_watched(const struct restore *r, const struct restore_task *task, const EventpollTfdEntry *target);

/* What the restorer of a task is to open, and what that takes from the area. */
uint64_t thread_files_room(const struct restore *r, const struct checked_task *task);
int thread_files_plan(struct restore *r, struct restore_task *task, struct error *err);
