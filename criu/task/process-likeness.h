/*
 * Most processes of a large tree differ from another one in nothing but what can be read from outside. Those are not
 * infected: they are saved with what a process that is like them tells (kernel/process-facts.h).
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "task/task.h"

struct dump;

/*
 * Infect stage, when all stand still: sets task->like where a task may take the answers of another one, which is asked
 * itself. For who waits in a vfork the child answers.
 */
void process_likeness_choose(struct dump *d);

/* What the parasite would be told, in place of asking: task->like has been asked. */
int process_likeness_take_answers(const struct dump *d, struct task *task, struct error *err);
