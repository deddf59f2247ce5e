/*
 * Landlock domains cannot be read back. They show by what they forbid: a task in a domain may not do what ptrace needs
 * (kcmp, say) to a task outside of it, whatever its credentials.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "kernel/proc-status.h"

/*
 * Starts a process with the user and group ids of a task and no capability, which that task may look at unless it is
 * confined. Returns its pid or -errno.
 */
pid_t landlock_start_probe(const struct proc_status *credentials, struct error *err);
void landlock_stop_probe(pid_t pid);
