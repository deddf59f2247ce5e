/* Timers of the process. */
#pragma once

#include "pie/restorer-border.h"

/* Threads wait for task->timers_made before they queue their signals. */
void create_timers(struct restorer_task *task);

/* Whether a timer was made to send this signal itself: it need not be queued. */
int expire_timer(struct restorer_task *task, const struct restorer_siginfo *info);

/* Before the thread has any signal: what timers that send theirs to it have missed. */
void overrun_of_thread(const struct restorer_thread *thread);

void arm_timers(struct restorer_task *task);
