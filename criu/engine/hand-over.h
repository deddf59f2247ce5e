/*
 * The steps by which one process of the new tree is handed over to its program; behind the commit point. The last thing
 * of ours in a process is the restore area. Its leader unmaps it with an injected system call, from a stub in the zero
 * bytes behind the vdso's image: if the worker dies right then, the leader sleeps there until the rescuer finds it.
 * Other threads have their registers by then. A task without a vdso makes the call from the blob itself, where this one
 * moment is not covered.
 *
 * Steps return 0 or -errno and can be repeated: where a thread stands tells how far it has come. In the area: nothing
 * has been done for it; on the stub: the area is being unmapped; anywhere else: it is the program's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pie/restorer-border.h"

struct restore_task;

struct hand_over_step {
	int (*run)(const struct restorer_task *task);
	const char *what;
};

/*
 * Behind its own steps a task runs: the first failure is kept in *err and *result, a task that has died meanwhile is
 * let be.
 */
void hand_over_run(const struct restore_task *task, const struct hand_over_step *step, struct error *err, int *result);

/* Puts the stub in place and its leader on it, waits until it is in the call, and until the area is unmapped. */
int hand_over_begin_unmap(const struct restorer_task *task);
int hand_over_enter_unmap(const struct restorer_task *task);
int hand_over_end_unmap(const struct restorer_task *task);
void hand_over_remove_stub(const struct restorer_task *task);

/* What is left when the area is gone: its own registers, and the stub goes. */
int hand_over_complete_leader(const struct restorer_task *task);

bool hand_over_is_on_stub(const struct restorer_task *task, uint64_t address);

/* Ends the trace of all its threads; those that can be are left to the end of the tracer (tracer_ends). */
int hand_over_let_go(const struct restorer_task *task);
