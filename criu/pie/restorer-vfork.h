/* A process that waits for the end of its vfork, and its child. */
#pragma once

#include "pie/restorer-border.h"

/* All but this call is done for the task: it makes its child, and comes back only when that has failed. */
_Noreturn void wait_in_vfork(struct restorer_task *task);
