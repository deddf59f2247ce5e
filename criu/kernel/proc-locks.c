#include "kernel/proc-locks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

int proc_lock_parse(const char *line, struct proc_lock *ret)
{
	return sscanf(line, "%*d: %15s %15s %15s %d %x:%x:%" SCNu64 " %" SCNd64 " %23s", ret->kind, ret->state,
		      ret->access, &ret->pid, &ret->major, &ret->minor, &ret->inode, &ret->start, ret->end) == 9
		   ? 0
		   : -EINVAL;
}
