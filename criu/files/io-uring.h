/*
 * io_uring instances, as the memory of a task sees them: rings are mapped from their descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct dump;
struct open_file;
struct proc_vma;
struct restore;
struct restore_task;

bool is_io_uring_mapping(const char *path);

/* Look stage, after files_look(): the instance whose memory is mapped there; NULL when no task has it open. */
const struct open_file *io_uring_find(const struct dump *d, const struct proc_vma *vma);

/* Whether a mapping can begin at this offset of an instance. */
bool io_uring_is_offset(uint64_t offset);

/* In the process of task, which has its descriptors: one of ours for the instance. The caller closes it. */
int io_uring_open_for_mapping(struct restore *r, struct restore_task *task, uint32_t file_id, int *ret_fd,
			      struct error *err);

/* What io_uring_plan() takes from the restore area at most. */
uint64_t io_uring_room(const struct restore *r, uint32_t pid);

/* In the worker: the buffers that the restorer registers, once the memory of the task is in place. */
int io_uring_plan(struct restore *r, struct restore_task *task, struct error *err);
