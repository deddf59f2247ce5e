/*
 * What a parent gets at the end of a child. The kernel sends SIGCHLD instead of the child's own exit signal once the
 * parent has executed a program since it made the child, which only its own structures tell.
 */
#pragma once

#include "engine/dump.h"

/* Look stage, by one thread: refuses a child of a parent that has executed a program since. */
int exit_signal_look(struct dump *d, const struct task *task, struct error *err);
