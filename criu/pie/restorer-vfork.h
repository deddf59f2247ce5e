/* A process that waits for the end of its vfork, and its child. */
#pragma once

#include "pie/restorer-border.h"

int is_to_wait_in_vfork(const struct restorer_thread *thread);

/* All but this call is done for the thread: it makes the child of its task. */
_Noreturn void wait_in_vfork(struct restorer_thread *thread);
