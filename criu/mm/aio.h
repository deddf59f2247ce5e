/*
 * Asynchronous I/O contexts (io_setup). A context is known to its program by the address of its ring, a mapping that
 * the kernel makes; the events that completed and were not fetched are in it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image-check.h"
#include "images/mm.pb-c.h"
#include "task/task.h"

struct dump;
struct proc_vma;
struct restore;
struct restore_task;

/* --- dump ----------------------------------------------------------------------------------------------------- */

bool is_aio_ring(const struct proc_vma *vma, const char *path);

/*
 * Look stage: refuses a ring that is no context of the task, and one with requests in flight that do not end within
 * the time that --io-wait gives. *ret_requests is what io_setup() was asked for.
 */
int aio_look(struct dump *d, struct task *task, const struct proc_vma *vma, uint32_t *ret_requests, struct error *err);

/* --- restore -------------------------------------------------------------------------------------------------- */

/* Open stage: refuses rings whose contents no kernel has written. */
int aio_check(const struct checked_task *task, struct error *err);

/* What aio_plan() takes from the restore area at most. */
uint64_t aio_room(const struct checked_task *task);

/* Fills task->restorer->aios, which has an element for each ring, in the order of the mappings. */
int aio_plan(struct restore *r, struct restore_task *task, struct error *err);
