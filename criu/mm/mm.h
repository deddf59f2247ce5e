/* The memory of a task that is being dumped. */
#pragma once

#include "base/error.h"
#include "task/task.h"

struct dump;

/*
 * Look stage, after files_look() has found the mapped files: decides for each mapping how it is saved and refuses what
 * cannot be. Also reads what the infect stage would change (the vdso's bytes).
 */
int mm_look(struct dump *d, struct task *task, struct error *err);

/* While the parasite answers: pagemap-PID.img and its pages file. May run for several tasks at once. */
int mm_save_pages(struct dump *d, struct task *task, struct error *err);

/* Save stage: mm-PID.img. May run for several tasks at once. */
int mm_save(struct dump *d, struct task *task, struct error *err);

/* The vdso's bytes as they were before anything of ours was written into it, once mm_look() was there; NULL: it has
 * none. */
const void *mm_vdso(const struct task *task, uint64_t *ret_start, uint64_t *ret_end);

void mm_free(struct task *task);
