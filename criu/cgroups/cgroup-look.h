/* The cgroups of a tree, compared with our own. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "engine/options.h"
#include "task/task.h"

/* Our own, read once per run. */
int cgroup_read_own(struct buffer *ret_own, struct error *err);

/* Look stage: may run for several tasks at once. */
int cgroup_look(const struct options *opts, const struct buffer *own, struct task *task, struct error *err);
