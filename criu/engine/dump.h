/*
 * A dump: everything one run knows. Stages, in order (engine/dump.c):
 *
 *	collect   the tree is found, pidfds are open; nothing is stopped yet
 *	freeze    all threads stand still
 *	look      what can be read from outside is read; what must be refused is refused
 *	infect    the parasite tells what only the task knows, one exchange per task; page contents are saved meanwhile
 *	save      images
 *	commit    inventory.img: the set is finished
 *	settle    the tree runs on, stays stopped or is killed
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/refusals.h"
#include "engine/options.h"
#include "engine/preparation.h"
#include "kernel/process-facts.h"
#include "kernel/task-facts.h"
#include "task/task.h"

struct image_set;
struct undo;
struct file_facts;
struct file_registry;
struct kernel_memory;
struct map_flags;
struct ended_calls;
struct shared_memory;

struct dump_stats {
	uint64_t freezing_us; /* first stop to all stopped */
	uint64_t frozen_us;   /* first stop to last resume: the freeze time */
	uint64_t memdump_us, memwrite_us;
	uint64_t pages_scanned, pages_written, pages_skipped_parent, pages_lazy;
	uint64_t shared_pages_scanned, shared_pages_written, shared_pages_skipped_parent;
};

struct dump {
	const struct options *opts;
	struct image_set *set;
	struct undo *undo;
	struct task **tasks; /* parents before children; tasks[0] is the root */
	size_t task_count, task_capacity;
	bool has_time_ns;      /* the tree lives in another time namespace than we do */
	bool has_fuse;         /* a FUSE filesystem is mounted */
	bool has_uprobes;      /* a mapping of the kernel's for uprobes was left out */
	bool is_walked;        /* once, while the tree was being stopped */
	bool is_killed;        /* the tasks are on their way out */
	uint32_t *task_by_pid; /* index into tasks + 1 for each pid, while the tree is being found; mapped sparsely */
	struct task_fact_list
	    facts; /* of the tasks that stand still; empty where they cannot be had or are not worth it */
	struct preparation preparation;
	struct file_registry *files;
	struct file_facts *file_facts; /* files/: NULL while no descriptor table is that large */
	struct shared_memory *shared_memory;
	struct map_flags *map_flags;            /* mm/: NULL where smaps is read for every task */
	struct process_fact_list process_facts; /* empty: not known */
	struct process_fact_list vfork_facts;   /* task/vfork-wait.c: read where a process waits in a vfork */
	struct kernel_memory *kernel_memory;    /* see dump_kernel_memory() */
	int proc_view; /* task/: /proc where a change is not seen by who watches it; 0: not opened, -errno: not here */
	struct ended_calls *ended_calls; /* task/: NULL where no thread waits in one of them */
	struct saved_keyrings *keyrings; /* security/: NULL where none was to be read */
	int64_t users_keyring;           /* security/session-keyring.h: the user's that was looked at last */
	bool is_users_keyring_unused, has_unsure_keyring;
	uint32_t next_file_id; /* from 1: ids of files.img are given by whoever makes an entry, before the save stage */
	struct dump_stats stats;
	struct refusals refusals; /* what the look stage found that cannot be saved */
	bool is_live;             /* the tree runs on while it is looked at, nothing may be changed: undo is NULL */
};

#define for_each_task(d, t)                                                                                            \
	for (size_t t##_i = 0; t##_i < (d)->task_count; t##_i++)                                                       \
		for (struct task *t = (d)->tasks[t##_i]; t; t = NULL)

/*
 * For what only the kernel's own structures tell: opened at the first call, which is made in the look or infect stage
 * and by one thread at a time. 0 or -errno.
 */
int dump_kernel_memory(struct dump *d, struct kernel_memory **ret);

/* So many more bytes of page contents are saved; called by any thread. -EINTR: a signal asks to stop. */
int dump_progress(struct dump *d, uint64_t bytes);

/* Says so when a signal asked to stop. */
int dump_check_interrupted(const struct dump *d, struct error *err);
