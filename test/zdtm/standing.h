/* Where the processes of a pid namespace stand. */
#pragma once

#include <sys/types.h>

/* Lines about each thread in the pid namespace of process init, cut to what fits; "" if there is nothing to see. */
void standing_describe(pid_t init, char *text, size_t size);
