/* What a process has once, whatever the number of its threads. */
#pragma once

#include "pie/restorer-border.h"

void set_personality(struct restorer_task *task);
void set_ksm(struct restorer_task *task);
void set_subreaper(struct restorer_task *task);
void register_membarriers(struct restorer_task *task);
void set_futex_hash(struct restorer_task *task);
void set_ldt(struct restorer_task *task);
void request_components(struct restorer_task *task);
void become_suid_dumpable(struct restorer_task *task);

/* Changes of credentials touch it: called when all threads have theirs. */
void set_dumpable(struct restorer_task *task);
void set_mdwe(struct restorer_task *task);
/* Of the process with this pid, 0: of the caller. */
void set_limits(struct restorer_task *task, int32_t pid);
