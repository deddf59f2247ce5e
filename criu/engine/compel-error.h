/* What compel says about a task, as a sentence of ours. */
#pragma once

#include "base/error.h"

struct compel_error;
struct task;

/* "pid 4242, thread 4243: it does not stop" becomes "pid 4242 (nginx), thread 4243: it does not stop". Returns r. */
int compel_error_pass(struct error *err, const struct task *task, const struct compel_error *compel_err, int r);
