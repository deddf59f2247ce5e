/*
 * The pidfile: the decimal pid, no newline, in a file that must not exist before. That it does not exist is asked
 * early, so that a run fails before it does anything; writing it happens when the pid is known.
 */
#pragma once

#include <sys/types.h>

struct error;
struct options;
struct undo;

/* 0, also without --pidfile; -EEXIST or what else is in the way, with *err set. */
int pidfile_check(const struct options *opts, struct error *err);

/* Notes the file and creates it: 0, also without --pidfile, or -errno with *err set. */
int pidfile_write(const struct options *opts, pid_t pid, struct undo *undo, struct error *err);
