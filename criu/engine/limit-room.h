/*
 * Room in a process that has used up what its limits allow (RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK) for what is mapped
 * into it. The limit is raised from outside as long as that is there: noted in the undo log before, given back as soon
 * as the process is cured, by the rescuer if we do not live to do it.
 */
#pragma once

#include <stdint.h>

struct dump;
struct task;

/* For a mapping of so many bytes. What may not be raised is left: the mapping will fail. */
void limit_room_make(struct dump *d, const struct task *task, uint64_t bytes);

/* The parasite has seen what was raised: its answers are to say what the process has. */
void limit_room_correct(const struct dump *d, struct task *task);

/* Nothing of ours is mapped any more. */
void limit_room_give_back(struct dump *d, const struct task *task);
