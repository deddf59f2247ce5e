/* Whether the processes of a tree can be made again with their parents, sessions and groups, and in their order. */
#pragma once

#include "base/error.h"

struct dump;

/*
 * Look stage: plays through how a restore would create them. What it would refuse is refused now; that a child may come
 * to another place among its siblings is a warning.
 */
int tree_look(const struct dump *d, struct error *err);

/* The same of session keyrings, when the tasks have told theirs. */
int tree_look_at_keyrings(const struct dump *d, struct error *err);
