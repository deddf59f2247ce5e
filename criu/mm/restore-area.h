/*
 * The restore area: shared memory that the worker, the rescuer and all processes of the new tree have at one address,
 * which is free in every address space of the set. What the restorer blob needs is built here before the first clone3,
 * so that a process of the tree prepares next to nothing itself. The area ends up unmapped everywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "pie/restorer-border.h"

struct checked_task;
struct restore;

/* At the start of the area: the words of the border, and what only the engine's own code uses. */
struct restore_shared {
	struct restorer_shared words;
	struct error error; /* of the process that failed first, when it failed in the engine's code */
	uint32_t error_is_sentence;
	uint32_t slot_count;
	uint64_t area_start, area_bytes;
	uint64_t mark_start; /* an address of the area: by its file a process of ours is told from a stranger */
	uint64_t mark_inode; /* with a reused pid */
	uint32_t mark_major, mark_minor;
	uint64_t pid_max_before;          /* what a failure sets kernel.pid_max back to, 0: nothing */
	struct restorer_task **restorers; /* by slot; NULL for helpers and zombies */
	void *entry;                      /* of the blob */
};

struct restore_area {
	uint64_t start, bytes, used;
};

/*
 * Maps the area with room for at least so many bytes, at an address free in all tasks of r->images and here, and puts
 * the blob into it. r->area and r->shared are set.
 */
int restore_area_map(struct restore *r, uint64_t bytes, struct error *err);
void restore_area_unmap(struct restore *r);

/* Whether that process has the area: it is one of ours, however often its pid was reused. */
bool restore_area_is_mapped(const struct restore_shared *shared, pid_t pid);

/* Zeroed memory of the area, aligned to 16 bytes; NULL when it is used up, which is a mistake in counting it. */
void *area_alloc(struct restore *r, size_t bytes);
void *area_alloc_aligned(struct restore *r, size_t bytes, size_t align);
void *area_memdup(struct restore *r, const void *data, size_t bytes);

/* The size of n items as area_alloc() takes it. */
static inline uint64_t area_room(uint64_t count, uint64_t item_bytes)
{
	return (count * item_bytes + 15) & ~UINT64_C(15);
}

/* A hole of so many bytes in the task's future address space that does not touch the area either. */
int restore_area_find_hole(const struct restore *r, const struct checked_task *task, uint64_t bytes,
			   uint64_t *ret_start);
