/* compel knows its targets by number only: what stands for the process in its sentences gets the name. */
#include "engine/compel-error.h"

#include <stdio.h>
#include <string.h>

#include "compel/compel.h"
#include "task/task.h"

int compel_error_pass(struct error *err, const struct task *task, const struct compel_error *compel_err, int r)
{
	const char *rest = compel_err->text;
	char pid[24];
	int length = snprintf(pid, sizeof(pid), "pid %d", task->host_pid);

	if (!strncmp(rest, pid, (size_t)length) && (rest[length] == ':' || rest[length] == ','))
		return error_say(err, r, TASK_FORMAT "%s", TASK_ARGS(task), rest + length);
	return error_say(err, r, TASK_FORMAT ": %s", TASK_ARGS(task), rest);
}
