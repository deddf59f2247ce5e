/* /proc/PID/cgroup has one line per hierarchy; equal text is equal membership. */
#include "cgroups/cgroup-look.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"

int cgroup_read_own(struct buffer *ret_own, struct error *err)
{
	AUTO_CLOSE int procfd = proc_open(0);
	int r = procfd < 0 ? procfd : proc_read_cgroup(procfd, "cgroup", ret_own);

	return r < 0 ? error_set(err, r, "read our own cgroups") : 0;
}

static bool is_equal(const struct buffer *a, const struct buffer *b)
{
	return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

/* The first line of theirs that ours does not have. */
static void find_difference(const struct buffer *own, const struct buffer *theirs, char *ret_line, size_t size)
{
	const char *at = theirs->data;

	(void)snprintf(ret_line, size, "?");
	while (*at) {
		size_t length = strcspn(at, "\n");
		const char *same = memmem(own->data, own->bytes, at, length + 1);

		if (!same || (same != own->data && same[-1] != '\n')) {
			(void)snprintf(ret_line, size, "%.*s", (int)length, at);
			return;
		}
		at += length + (at[length] == '\n');
	}
}

static int look_at(const struct buffer *own, struct task *task, pid_t tid, struct error *err)
{
	AUTO_BUFFER struct buffer theirs = { 0 };
	char path[48], line[256];
	int r;

	(void)snprintf(path, sizeof(path), "task/%d/cgroup", tid);
	r = proc_read_cgroup(task->procfd, path, &theirs);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ", thread %d: read its cgroups", TASK_ARGS(task), tid);
	if (is_equal(own, &theirs))
		return 0;
	find_difference(own, &theirs, line, sizeof(line));
	error_hint(err, "--manage-cgroups=ignore restores it in the cgroups of whoever restores");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ": is in cgroup %s, not in the one of this process, which is not supported "
				     "yet",
			 TASK_ARGS(task), line);
}

int cgroup_look(const struct options *opts, const struct buffer *own, struct task *task, struct error *err)
{
	int r = 0;

	if (opts->cgroup_mode == CGROUP_IGNORE || opts->cgroup_mode == CGROUP_NONE)
		return 0;
	for (size_t i = 0; i < task->thread_count && r == 0; i++)
		r = look_at(own, task, task->threads[i].tid, err);
	return r;
}
