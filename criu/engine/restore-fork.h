/* The new processes: how they come into being, and what each does in the engine's code before the blob takes over. */
#pragma once

#include "base/error.h"

struct restore;

/* In the worker: creates the root, which creates the rest. Returns once the root exists. */
int restore_fork_root(struct restore *r, struct error *err);
