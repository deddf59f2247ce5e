/*
 * Processes that were stopped. One stops again by a signal, of which its parent would hear once more. So these are
 * handed over first, children before parents, and each parent then does, in calls from outside, what it had done
 * before: it has waited for the stop, or at least has no signal for it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct restore;
struct restore_task;
struct restorer_task;

bool restore_was_stopped(const struct restore_task *task);

/* code_address: see restore_find_call_code(). Errors as hand_over_run() keeps them. */
void restore_hand_over_stopped(struct restore *r, uint64_t code_address, struct error *err, int *result);

/* Its last thread completes the stop: then there is something to wait for. Gives up after a second. */
void restore_wait_until_stopped(const struct restorer_task *task);

/*
 * Each thread has to run once more to find its stop: whoever asked for stopped processes is to find them so. To be
 * called while there is nobody in the tree who could have continued them. Gives up after a second.
 */
void restore_await_stops(const struct restore *r);
