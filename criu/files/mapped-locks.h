/* Locks of a tree that nothing but a mapping keeps. Only for criu/files/. */
#pragma once

#include "base/error.h"

struct dump;

/*
 * Look stage, when mappings and descriptors are known: notes a lock of flock(2) with the mapped file (kept_flock,
 * kept_by), and refuses those that cannot be kept.
 */
int mapped_locks_look(const struct dump *d, struct error *err);
