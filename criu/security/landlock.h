/*
 * Landlock domains cannot be read back. They show by what they forbid: a task in a domain may not do what ptrace needs
 * (kcmp, say) to a task outside of it, whatever its credentials.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "kernel/proc-status.h"

/* Probe processes, one per pair of user and group ids. Zeroed before its first use. */
struct landlock_probes {
	struct landlock_probe *items;
	size_t count, capacity;
};

/*
 * A process with the ids of a task and no capability, which that task may look at unless it is confined: its pid, 0
 * where the kernel has no Landlock, or -errno.
 */
pid_t landlock_probe(struct landlock_probes *probes, const struct proc_status *credentials, struct error *err);

/* Ends them. */
void landlock_probes_done(struct landlock_probes *probes);
