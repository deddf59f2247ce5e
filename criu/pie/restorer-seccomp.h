/* Seccomp filters and strict mode. */
#pragma once

#include "pie/restorer-border.h"

/* Returns when the worker has suspended the filters of this thread and they are installed. */
void install_filters(struct restorer_thread *thread);

/* Behind it a thread may do no more than sleep. */
void set_strict_mode(struct restorer_thread *thread);
