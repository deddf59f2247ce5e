/* Signals that wait for a task by the time it tells of its timers. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "task/task.h"

/* By what the task has told: is it worth looking again? */
bool late_signals_are_possible(const struct task *task);

/* In the tracer's thread, while none of the task's threads runs. */
int late_signals_look(struct task *task, struct error *err);
