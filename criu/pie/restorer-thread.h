/* Threads: what each sets for itself, and where it waits to be taken over. */
#pragma once

#include "pie/restorer-border.h"

void set_name(struct restorer_thread *thread);

/* What a thread has for itself; the first one calls it as well. */
void set_up_thread(struct restorer_thread *thread);

/* What a thread does that is not the first one. */
_Noreturn void run_thread(struct restorer_thread *thread);

/* All but the first, which is there already. */
void start_threads(struct restorer_task *task);
void wait_for_threads(struct restorer_task *task);

/*
 * A first thread that had ended while others live on ends when it has done its part: before filters could forbid that,
 * and long before anybody looks. Another one does the rest.
 */
_Noreturn void end_leader(struct restorer_task *task);

/* What comes behind all threads, by the one that stands for the process. In restorer.c, with the order of all else. */
_Noreturn void finish_task(struct restorer_task *task);

/* Extended registers, and flags that only the thread itself can set. */
void load_registers(const struct restorer_thread *thread);

/* The thread is whole but for the registers that are set from outside. */
_Noreturn void sleep_until_taken(struct restorer_thread *thread);
