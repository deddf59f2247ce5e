/* The one exchange with the parasite in every task. */
#pragma once

#include "base/error.h"
#include "engine/dump.h"

/* Infect stage: all threads of all tasks answer at the same time; answers are in task->parasite and thread->parasite.
 */
int parasites_run(struct dump *d, struct error *err);
