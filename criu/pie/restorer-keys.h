/* Protection keys. */
#pragma once

#include "pie/restorer-border.h"

/* A thread whose rights come from outside in the end may reach all memory until then. */
void open_keys(const struct restorer_task *task);

/* Before there are mappings: so the kernel takes no key for those that can be executed only. */
void allocate_keys(struct restorer_task *task);

/* Those that were free, once all mappings are under theirs. */
void free_keys(struct restorer_task *task);
