/*
 * Keyrings of a task (keyrings(7)). Every task may use those of its user; a session keyring of its own, a process or a
 * thread keyring are objects of their own whose keys, for the most part, the kernel does not let anybody read.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "task/task.h"

/* The name of the session keyring that tasks have without doing anything for it. */
void keyring_user_session_name(const struct task_thread *thread, char *text, size_t size);

/* Infect stage, with the parasite's answers: refuses by name what cannot be brought back. */
int keyrings_check(const struct task *task, const struct task_thread *thread, struct error *err);
