/*
 * Keyrings of a task (keyrings(7)), dump. Every task may use those of its user, which belong to no process. A session
 * keyring of its own and that of a process are objects which the kernel lets nobody set: they are saved by what is in
 * them and made anew, under another number. That of a single thread is refused.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "compel/compel.h"
#include "images/core.pb-c.h"
#include "task/task.h"

struct arena;
struct dump;

/* Infect stage, with the parasite's answers: refuses by name what cannot be brought back. */
int keyrings_check(const struct task *task, const struct task_thread *thread, struct error *err);

/* Whether keyrings_read() has something to do. */
bool keyrings_are_to_be_read(const struct dump *d, const struct task *task);

/*
 * Lets the task, whose parasite is stopped, read what is in its keyrings and nobody has read yet: only who possesses
 * a key may. scratch: memory in the task that may be written.
 */
int keyrings_read(struct dump *d, struct task *task, struct remote_addr scratch, size_t bytes, struct error *err);

/* Whether not all tasks have the same session keyring, by what they have told. */
bool keyrings_differ(const struct dump *d);

/* Save stage, any thread. The arena is that of the image. */
int keyrings_save(const struct dump *d, const struct task *task, TaskCoreEntry *tc, struct arena *arena);

/* What that says of the session keyring; NULL: not known, or no memory. */
KeyringEntry *keyring_make_session_entry(const struct dump *d, const struct task *task, struct arena *arena);

void keyrings_free(struct dump *d);
