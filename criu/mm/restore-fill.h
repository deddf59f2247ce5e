/*
 * Page contents that the worker moves itself, with several threads: into shared memory objects, and through a
 * userfaultfd into processes with large memory, which is twice as fast as each process reading its own.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "image/pagemap.h"

struct restore;
struct restore_task;

/* Reads all pages of the map into memory, which stands for the addresses from 0 to bytes. */
int restore_fill_object(struct restore *r, struct pagemap *map, void *memory, uint64_t bytes, struct error *err);

/*
 * Copies what task->restorer->large_reads describes into the task behind the userfaultfd. -EOPNOTSUPP without a
 * sentence: the task has to read it itself.
 */
int restore_fill_task(struct restore *r, struct restore_task *task, int uffd, struct error *err);

/*
 * --auto-dedup: when the tree runs, gives the pages of the set back to the file system. Before that the set stops being
 * one: a second restore would bring back zeros.
 */
void restore_punch_pages(struct restore *r);
