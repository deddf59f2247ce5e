/* Labels of security modules. */
#pragma once

#include "base/error.h"
#include "task/task.h"

/* Look stage: a label that confines the task is refused by name, for we cannot set it yet. */
int lsm_look(struct task *task, struct error *err);

/* Open stage: a label of an image. */
int lsm_check(const char *label, const char *who, struct error *err);

/* Open stage: the label that sockets were to get. */
int lsm_check_sockets(const char *label, const char *who, struct error *err);
