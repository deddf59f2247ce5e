/*
 * The state of the target as others can see it: noted while it is untouched, compared after each kill.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "watch.h"

struct state {
	char text[1 << 17]; /* threads with their masks, mappings, descriptors, in a fixed order */
};

/* 0 or -errno when there is no such process. */
int state_note(pid_t pid, struct state *ret_state);

/* State letter and tracer; '?' and 0 of a process that is not there. */
void state_brief(pid_t pid, char *ret_state, int *ret_tracer);

/*
 * Checks that the process is as noted, untraced, not stopped, that each thread goes on and found nothing wrong. Waits
 * up to wait_ms for that. False with the reason in words.
 */
bool state_is_well(pid_t pid, const struct state *noted, struct watch *watch, int wait_ms, char *ret_why, size_t bytes);
