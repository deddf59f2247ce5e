/*
 * I/O contexts: what a thread's I/O priority is kept in. Each thread has none or one of its own, unless it was made
 * with CLONE_IO: then a priority that one sets is the other's, too, also one that is set later.
 */
#pragma once

#include "base/error.h"
#include "engine/dump.h"

/* Refuses who shares one. plain_pid: a process that was made without CLONE_IO and has done no I/O. */
int io_contexts_look(struct dump *d, pid_t plain_pid, struct error *err);
