/* Threads that are there before the blob begins. */
#pragma once

#include "pie/restorer-border.h"

/* Waits for orders (enum restorer_order) and carries them out, until the thread is to become that of the task. */
_Noreturn void run_early_thread(struct restorer_thread *thread);

void take_up_early_thread(struct restorer_thread *thread);
