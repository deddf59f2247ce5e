/*
 * The undo log and the rescuer. Each intrusion is written to shared memory before it happens; two processes work on a
 * run: the worker does everything, the rescuer only waits for the worker's end. If the worker dies before the commit
 * point, the rescuer takes everything back; after it, the rescuer carries the run to its end. If the rescuer dies, the
 * worker goes on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/error.h"
#include "compel/compel.h"

enum undo_phase {
	UNDO_OPEN,       /* before the commit point: the log is rolled back */
	UNDO_COMMITTING, /* the rename of inventory.img is under way: whether it is in place decides */
	UNDO_COMMITTED,  /* what is left is carried to its end */
	UNDO_DONE,       /* nothing is left to do */
};

struct undo;

/*
 * Makes the shared log. images_dirfd is where created files are unlinked on rollback (and where inventory.img is looked
 * for); task_limit and thread_limit bound the journal. Callbacks are set between this and undo_start().
 */
int undo_new(int images_dirfd, uint32_t task_limit, uint32_t thread_limit, struct undo **ret_undo, struct error *err);

/* Starts the rescuer; from here on SIGINT, SIGTERM and SIGHUP are only noted (undo_interrupted). */
int undo_start(struct undo *undo, struct error *err);

/* compel's part of the log. */
struct compel_journal *undo_journal(struct undo *undo);

/*
 * A file or directory that is about to be created in the image directory, or an absolute path. What is there already
 * must not be noted: a rollback would remove it. Fits image_set's callback.
 */
void undo_note_file(void *undo, const char *name);

/*
 * Several processes of a restore note names: held from before the first one is noted until the last one is forgotten.
 * Who is killed meanwhile leaves it locked, and the restore has failed.
 */
void undo_lock(struct undo *undo);
void undo_unlock(struct undo *undo);

/* The last one noted was not created after all. */
void undo_forget_file(struct undo *undo, const char *name);

/* A thread whose timer slack is about to be changed for a moment, and what it is: one at a time. */
void undo_note_slack(struct undo *undo, pid_t tid, uint64_t slack_ns);
void undo_forget_slack(struct undo *undo);

/*
 * A process that gets this signal once the run is committed: SIGKILL or SIGSTOP, as the user wants the tree to end.
 * start_time_ticks tells it from a later process of the same pid.
 */
void undo_note_end(struct undo *undo, pid_t pid, uint64_t start_time_ticks, int signal);

/* A limit of a process that is raised for a while, noted before: what it is meanwhile tells it from a later one. */
struct undo_limit {
	int32_t pid, tid; /* the process, and a thread of it that lives */
	int32_t resource;
	struct rlimit own, raised;
	uint64_t start_time_ticks;
};

/* False: the log is full, nothing may be raised. */
bool undo_note_limit(struct undo *undo, const struct undo_limit *limit);

/* The last one noted for it, or NULL. */
const struct undo_limit *undo_find_limit(const struct undo *undo, pid_t pid, int resource);

/* All that are still as they were raised; of all processes with pid 0. */
void undo_give_limits_back(struct undo *undo, pid_t pid);

/* The tree is to live on after all. */
void undo_forget_ends(struct undo *undo);

/*
 * What a restore adds: rollback is called before the commit point, by the rescuer or by the worker's own
 * undo_rollback(); carry_on by the rescuer after it. ctx must live in memory that both processes have.
 */
typedef int (*undo_callback)(void *ctx);
void undo_set_callbacks(struct undo *undo, undo_callback rollback, undo_callback carry_on, void *ctx);

/* Pids that the rescuer must not take: a restore needs them. Borrowed until undo_start() returns. */
void undo_keep_free(struct undo *undo, const pid_t *pids, size_t count);

void undo_set_phase(struct undo *undo, enum undo_phase phase);

/* True once a signal (INT, TERM, HUP) asked the worker to stop; engines look at it between steps. */
bool undo_interrupted(const struct undo *undo);

/*
 * The worker's own rollback: created files are unlinked and the rollback callback runs. Tracees are the tracer's to
 * give back (compel_cure, compel_detach) before this.
 */
int undo_rollback(struct undo *undo);

/* The rescuer: a process of one thread that shares nothing with anybody. */
pid_t undo_rescuer_pid(const struct undo *undo);

/* Nothing is left to be undone: the rescuer begins to end, while we free what we hold. NULL is allowed. */
void undo_dismiss(struct undo *undo);

/* Waits for its end, brings the signals back and frees the log. NULL is allowed. */
void undo_finish(struct undo *undo);
