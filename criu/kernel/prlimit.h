/* Resource limits of any process, also of another user's without CAP_SYS_RESOURCE. */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

/* Sets the limit to *wanted, asks for what it was, or both (either may be NULL): 0 or -errno. */
int prlimit_of(pid_t tid, int resource, const struct rlimit *wanted, struct rlimit *ret_before);
