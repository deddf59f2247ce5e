/*
 * The memory of the tree, worked on beside the tracer's thread: nothing runs inside the tasks for it, and nothing of it
 * needs ptrace. Two steps with a decision between them: a look at the mappings while the tracer reads registers, and,
 * once it is clear that nothing is refused, the contents of pages while it waits for the parasites.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

struct dump;

struct memory_side {
	struct dump *d;
	bool threaded; /* a thread of its own does the work */
	pthread_t thread;
	sem_t looked, decided;
	bool may_save; /* the decision */
	atomic_bool gave_up;
	atomic_size_t next_task; /* to be saved */
	int look_result, save_result;
	struct error look_error, save_error;
};

/* Begins the look, by a thread if that is worth it. */
void memory_side_start(struct memory_side *side, struct dump *d, bool is_worth_a_thread);

/* The end of the look: its result. Refusals are in d->refusals. */
int memory_side_wait_looked(struct memory_side *side, struct error *err);

/* The decision: page contents may be saved. Without a thread that is done by memory_side_finish(). */
void memory_side_save(struct memory_side *side);

/* Another step has failed: what is not saved yet need not be. */
void memory_side_give_up(struct memory_side *side);

/* The end of the save, in which the caller takes part: its result. Without a decision nothing is saved. To be called
 * once in every run that started. */
int memory_side_finish(struct memory_side *side, struct error *err);
