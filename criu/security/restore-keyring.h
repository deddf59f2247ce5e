/*
 * Keyrings, restore. Nobody can be given a keyring that there is: a process makes a session keyring, and those that it
 * creates from then on have it, too. So who has which one decides when a process changes its own between the creation
 * of two others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct restore;
struct restore_task;
struct session_keyring;

/*
 * When it is known who creates whom: the keyrings of all tasks, or a refusal. own: that of the worker, see
 * session_keyring_own().
 */
int restore_keyrings_plan(struct restore *r, int64_t own, struct error *err);
void restore_keyrings_free(struct restore *r);

/* In the process, while it has the ids of the worker: has that session keyring from now on. NULL changes nothing. */
int restore_keyring_enter(struct restore *r, const struct session_keyring *wanted, struct error *err);

/* Likewise: makes the keyring of the process, if it is to have one. */
int restore_process_keyring(const struct restore_task *task, struct error *err);

/* Whether a task that the other one forks in the end has all its keyrings by that. */
bool restore_keyring_is_same(const struct restore_task *task, const struct restore_task *creator);
