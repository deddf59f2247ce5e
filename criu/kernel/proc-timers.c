/* Each timer has four lines in a fixed order. */
#include "kernel/proc-timers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/proc-parse.h"

static bool skip_key(const char **at, const char *key)
{
	size_t bytes = strlen(key);

	if (strncmp(*at, key, bytes) != 0)
		return false;
	*at += bytes;
	skip_blanks(at);
	return true;
}

static bool skip_newline(const char **at)
{
	return skip_char(at, '\n');
}

/* "signal/pid.1234": how it notifies, and the process or thread it notifies. */
static int parse_notify(const char **at, struct proc_timer *timer)
{
	if (skip_key(at, "signal"))
		timer->notify = SIGEV_SIGNAL;
	else if (skip_key(at, "none"))
		timer->notify = SIGEV_NONE;
	else if (skip_key(at, "thread"))
		timer->notify = SIGEV_THREAD;
	else
		return -EINVAL;
	if (skip_key(at, "/tid."))
		timer->notify |= SIGEV_THREAD_ID;
	else if (!skip_key(at, "/pid."))
		return -EINVAL;
	return scan_int(at, &timer->notify_pid);
}

static int parse_timer(const char **at, struct proc_timer *timer)
{
	if (!skip_key(at, "ID:") || scan_int(at, &timer->id) < 0 || !skip_newline(at))
		return -EINVAL;
	if (!skip_key(at, "signal:") || scan_int(at, &timer->signal) < 0 || !skip_char(at, '/'))
		return -EINVAL;
	/* A pointer: some kernels print "(null)" or "0x" in front. */
	if (skip_key(at, "(null)"))
		timer->sigev_value = 0;
	else if ((skip_key(at, "0x"), scan_u64(at, 16, &timer->sigev_value)) < 0)
		return -EINVAL;
	if (!skip_newline(at) || !skip_key(at, "notify:") || parse_notify(at, timer) < 0 || !skip_newline(at))
		return -EINVAL;
	if (!skip_key(at, "ClockID:") || scan_int(at, &timer->clock_id) < 0 || !skip_newline(at))
		return -EINVAL;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	const struct proc_timer *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int proc_timers_parse(const char *text, struct proc_timer **ret, size_t *ret_count)
{
	AUTO_FREE struct proc_timer *timers = NULL;
	size_t count = 0, capacity = 0;

	while (*text) {
		struct proc_timer timer = { 0 };
		int r = parse_timer(&text, &timer);

		if (r < 0)
			return r;
		r = array_reserve(&timers, &capacity, count, sizeof(*timers));
		if (r < 0)
			return r;
		timers[count++] = timer;
	}
	/* The kernel lists the newest first. */
	if (count)
		qsort(timers, count, sizeof(*timers), compare_ids);
	*ret = TAKE_PTR(timers);
	*ret_count = count;
	return 0;
}

int proc_timers_read(int procfd, struct proc_timer **ret, size_t *ret_count)
{
	AUTO_BUFFER struct buffer text = { 0 };
	int r = buffer_read_proc(&text, procfd, "timers");

	return r < 0 ? r : proc_timers_parse(text.data, ret, ret_count);
}
