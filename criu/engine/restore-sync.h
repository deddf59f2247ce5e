/*
 * How the processes of a restore wait for each other and for their end: counters and futexes in the restore area.
 * Nobody waits for one who is dead: the worker looks after all processes while it sleeps, and the first failure ends
 * the run.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct restore;
struct restore_shared;
struct restore_task;

/* In a process of the tree: one less; the last one opens the gate. */
void restore_arrive(uint32_t *left, uint32_t *gate);

/* Sets a word to 1 and wakes who waits for it. */
void restore_open_gate(uint32_t *gate);
void restore_wait_gate(uint32_t *gate);

/* In a process of the tree: sets a word that the worker looks at, and sleeps until that has answered. */
void restore_ask_worker(const struct restore *r, uint32_t *word, uint32_t value);

/* In the worker: answers. */
void restore_answer(uint32_t *word, uint32_t value);

/* In a process of the tree: its failure becomes the run's, unless another one was first. */
void restore_report_failure(struct restore *r, const struct restore_task *task, const struct error *err);

/*
 * In the worker: sleeps until *left is 0, fills large memory meanwhile. Returns 0, the first failure, or -EINTR when a
 * signal asked the run to stop.
 */
int restore_wait_for(struct restore *r, const uint32_t *left, struct error *err);

/* In the worker: the sentence, if a process is dead that should not be; 0 when all live. */
int restore_look_after(const struct restore *r, struct error *err);

/*
 * In the worker, when all is ready: first threads that are to end have done so a moment ago, and are seen as zombies on
 * return.
 */
int restore_wait_for_ended_leaders(const struct restore *r, struct error *err);

/*
 * Kills all processes of a tree that is not complete, and waits until they are dead; by the worker or the rescuer. Only
 * processes that have the restore area are touched.
 */
int restore_abort(struct restore_shared *shared);
