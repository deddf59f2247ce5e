/*
 * What makes the look at many tasks quick takes a millisecond or two to get ready: programs for the kernel, loaded by a
 * thread of its own while the tracer's stops the tasks.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct map_flags;

enum preparation_step {
	PREPARED_NOTHING,
	PREPARED_TASK_FACTS,
	PREPARED_MAP_FLAGS,
	PREPARED_ALL,
};

struct preparation {
	bool started, running;
	bool is_early;    /* started for the sake of the machine, when the tree was not known yet */
	bool is_for_many; /* what is worth it for many tasks only */
	pthread_t thread;
	pthread_mutex_t lock; /* of done */
	pthread_cond_t is_done;
	enum preparation_step done;
	int facts_program, process_program; /* -errno where it cannot be had */
	struct map_flags *map_flags;
};

/*
 * Once: later calls do nothing. Our descriptor table is made large on the way, with any descriptor that is open. Early:
 * before anything is stopped, what takes long where there are many other processes; the rest at a later start.
 */
void preparation_start(struct preparation *prep, int fd, bool is_for_many);
void preparation_start_early(struct preparation *prep, int fd);

/* What was prepared, waiting for that much: the programs stay prep's, the map flags are given away. */
int preparation_facts_program(struct preparation *prep);
int preparation_process_program(struct preparation *prep);
struct map_flags *preparation_take_map_flags(struct preparation *prep);

void preparation_done(struct preparation *prep);
