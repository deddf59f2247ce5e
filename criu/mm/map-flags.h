/*
 * The mappings of a task with their VmFlags. smaps has them, but walks the page tables for figures nobody asked for.
 * For large or many tasks, and those whose many threads have a stack each, the flag words are read by BPF, and smaps is
 * read only for a task that has a word not seen before.
 */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "task/task.h"

struct dump;
struct map_flags;

#define MAP_FLAGS_MANY_TASKS   16
#define MAP_FLAGS_MANY_THREADS 64

/* Gets ready to read words: takes a millisecond, may be done ahead by another thread. NULL where it cannot be done. */
struct map_flags *map_flags_open(void);
void map_flags_close(struct map_flags *flags);

/* Look stage, before any task is looked at: gets ready where that is worth it and was not done yet. */
void map_flags_start(struct dump *d);

/*
 * Fills task->maps; may run for several tasks at once. Without smaps anonymous_bytes is MAP_BYTES_UNKNOWN: there may be
 * pages.
 */
#define MAP_BYTES_UNKNOWN UINT64_MAX
int map_flags_read(struct dump *d, struct task *task, struct error *err);

/* Fills an array of struct bpf_vma (kernel/bpf-vmas.h) for a task: 0 or -errno. flags may be NULL: gets ready itself.
 */
int map_flags_list(const struct map_flags *flags, const struct task *task, struct buffer *output, size_t *ret_count);

/* Whether a mapping may have a NUMA policy of its own: which one is told from inside only. */
bool map_flags_may_hide_policies(const struct task *task);

void map_flags_forget(struct task *task);
