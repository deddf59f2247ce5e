/*
 * The end of a process that was a zombie: it exits with its code, or by its signal. That a core was dumped is part of
 * what its parent learns, so one is dumped again: where nobody finds it.
 */
#pragma once

#include "base/error.h"
#include "image/image-check.h"

/* Open stage: refuses by name an end that cannot be had here. */
int restore_zombie_check(const struct checked_task *task, struct error *err);

/* In the process itself, behind all else that it does; status is that of wait(). */
int restore_zombie_prepare(int status, struct error *err);
_Noreturn void restore_zombie_end(int status);
