/*
 * Groups of core scheduling (prctl(2), PR_SCHED_CORE): threads with one cookie run on the siblings of a processor core,
 * and none of another group beside them. Cookies cannot be chosen, and who is in a group can be outside of the tree.
 */
#pragma once

#include "engine/dump.h"

/* Refuses each process with a thread that has a cookie. */
void core_scheduling_look(struct dump *d);
