/*
 * A process of the tree that is being dumped, as it was read while it stood still. Filled stage by stage by the dump
 * engine; state folders read it and write their images from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "kernel/proc-maps.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"

struct compel_task;
struct open_file;
struct parasite_task;
struct parasite_thread;
struct map_words;
struct task_facts;
struct thread_facts;
struct task_memory;
struct task_state;
struct thread_seccomp;
struct thread_state;

/* A pid as seen from each pid namespace it is in, innermost last. On the host: one number. */
struct task_id {
	pid_t ns_pids[32];
	int levels;
};

/* The pid that names images and means the task to itself: the innermost one. */
static inline pid_t task_id_own(const struct task_id *id)
{
	return id->ns_pids[id->levels - 1];
}

struct task_thread {
	pid_t tid;
	struct task_id id;
	struct user_regs_struct regs; /* as at the stop */
	uint64_t signal_mask;
	struct proc_status status; /* credentials are per thread */
	struct proc_stat stat;
	struct thread_state *state;     /* task/: what ptrace told of it */
	struct thread_seccomp *seccomp; /* security/: NULL when it is under none */
	pid_t probe_pid;                /* whom the parasite tries to look at, to find out whether it is confined */
	const struct thread_facts *facts_own; /* not NULL: like the first thread, but for these (task/likeness.h) */
	const struct task_facts *facts; /* NULL: not known; compared with those of others while they stand still */
	uint32_t known_ring_numbers; /* bit N: number N of its own stands for an io_uring that its process has open */
	const struct parasite_thread *parasite; /* what the thread itself told; valid from the infect stage on */
};

/* A descriptor: a number in a table that stands for an open file description. */
struct task_fd {
	int fd;
	bool close_on_exec; /* known from the infect stage on, or earlier: task->knows_close_on_exec */
	struct open_file *file;
};

struct task {
	pid_t host_pid;
	/*
	 * Through whom its files in /proc, its memory and its descriptors are reached: the first thread, or, where that
	 * has ended while others live on, the oldest of these.
	 */
	pid_t acting_tid;
	struct task_id id;
	struct task *parent; /* NULL for the root */
	pid_t maker_tid;     /* which thread of the parent has it as a child; 0: root */
	struct task *first_child, *last_child, *next_sibling; /* in the order in which they were found */
	char comm[64];
	int pidfd;        /* of the process */
	int acting_pidfd; /* of that thread; the same descriptor when it is the first one */
	int procfd;       /* /proc/ACTING_TID */
	bool is_zombie;
	int stop_signal; /* != 0: stopped by this signal */
	bool
	    has_continued; /* was stopped, and its parent can still collect that it goes on; from the infect stage on */

	bool left_terminal; /* has none although its session has one; set by files_look() */

	struct proc_stat stat;
	struct proc_maps maps; /* with VmFlags */
	struct map_words
	    *map_words; /* mm/: how the kernel keeps them, where that was read; set when maps is complete */

	struct task_thread *threads; /* [0] is the acting one; empty for a zombie */
	size_t thread_count;
	struct task_thread *ended_leader;  /* what is left of a first thread that has ended; NULL: it lives */
	struct thread_facts *thread_facts; /* of all of them, or NULL */
	struct compel_task *compel;
	struct parasite_task *parasite; /* local copy of the parasite's answers */
	struct task *like;              /* whose answers hold for this one: it is not infected; NULL: it is */

	/*
	 * One that waits for the end of its vfork does not stop: it stands still because its child does, which has the
	 * same memory, and is saved with it.
	 */
	pid_t vfork_tid;           /* the thread that waits; 0: none does */
	struct task *vfork_child;  /* for whom it waits */
	struct task *vfork_parent; /* who waits for it */

	struct task_fd *fds; /* ascending; NULL when the table is another task's (files_owner) */
	size_t fd_count;
	bool knows_close_on_exec;
	struct task *files_owner; /* who holds the descriptor table: itself, or the task it shares with */
	uint32_t files_id, fs_id, vm_id, sighand_id;
	uint64_t time_ns; /* inode, 0 where the kernel has none */

	struct open_file *exe, *cwd, *root; /* registered like any other file */
	struct open_file **vma_files;       /* one per mapping of maps, NULL where it maps no file */
	struct task_memory *memory;         /* mm/: what becomes of each mapping */
	struct task_state *state;           /* task/: what was read of the process itself */
};

/* Both for sentences: error_set(err, r, TASK_FORMAT ": cannot ...", TASK_ARGS(task)) begins with "pid 4242 (nginx)". */
#define TASK_FORMAT     "pid %d (%s)"
#define TASK_ARGS(task) (task)->host_pid, (task)->comm
