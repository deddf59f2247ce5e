/* Actions and pending signals. */
#pragma once

#include "pie/restorer-border.h"

void set_sigactions(struct restorer_task *task);

/* Both need the timers: one may stand behind a pending signal. */
void queue_shared_signals(struct restorer_task *task);
void queue_own_signals(struct restorer_thread *thread);
