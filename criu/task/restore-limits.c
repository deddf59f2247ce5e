/*
 * Hard limits can only be lowered without CAP_SYS_RESOURCE: a set that needs more is refused before anything is
 * created, with the limit's name. What is lowered the process lowers itself, what is raised is raised from outside.
 * /proc/PID files are written by path: the process is one of ours and waits.
 */
#include "task/restore-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/restore.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-status.h"
#include "pie/restorer-border.h"
#include "task/timer-slack.h"

static const char *const limit_names[] = {
	[RLIMIT_CPU] = "RLIMIT_CPU",           [RLIMIT_FSIZE] = "RLIMIT_FSIZE",
	[RLIMIT_DATA] = "RLIMIT_DATA",         [RLIMIT_STACK] = "RLIMIT_STACK",
	[RLIMIT_CORE] = "RLIMIT_CORE",         [RLIMIT_RSS] = "RLIMIT_RSS",
	[RLIMIT_NPROC] = "RLIMIT_NPROC",       [RLIMIT_NOFILE] = "RLIMIT_NOFILE",
	[RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",   [RLIMIT_AS] = "RLIMIT_AS",
	[RLIMIT_LOCKS] = "RLIMIT_LOCKS",       [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
	[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE", [RLIMIT_NICE] = "RLIMIT_NICE",
	[RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",     [RLIMIT_RTTIME] = "RLIMIT_RTTIME",
};

static void read_rights(int procfd, struct own_limits *ret)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };

	if (proc_status_read(procfd, "status", &status) < 0)
		return;
	ret->may_raise = status.cap_eff >> CAP_SYS_RESOURCE & 1;
	ret->may_set_loginuid = status.cap_eff >> CAP_AUDIT_CONTROL & 1;
}

int own_limits_read(struct own_limits *ret)
{
	AUTO_CLOSE int procfd = proc_open(0);
	int r = procfd < 0 ? procfd : 0;

	memset(ret, 0, sizeof(*ret));
	ret->loginuid = (uint32_t)-1;
	for (int i = 0; r == 0 && i < RLIM_NLIMITS; i++)
		r = getrlimit((__rlimit_resource_t)i, &ret->limits[i]) < 0 ? -errno : 0;
	if (r == 0)
		r = sched_read_attributes(0, &ret->sched);
	if (r == 0)
		r = sched_read_affinity(0, &ret->affinity, &ret->affinity_words);
	if (r == 0)
		r = ioprio_read(0, &ret->ioprio);
	if (r < 0)
		return r;
	ret->timer_slack_ns = timer_slack_own();
	ret->request_keyring = syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE);
	read_rights(procfd, ret);
	if (proc_read_oom_score_adj(procfd, &ret->oom_score_adj) < 0)
		ret->oom_score_adj = 0;
	if (proc_read_coredump_filter(procfd, &ret->coredump_filter) < 0)
		ret->coredump_filter = 0;
	(void)proc_read_loginuid(procfd, &ret->loginuid);
	return 0;
}

void own_limits_done(struct own_limits *own)
{
	free(own->affinity);
	own->affinity = NULL;
}

#define LIMIT_TEXT_BYTES 24

static const char *describe_limit(char text[LIMIT_TEXT_BYTES], uint64_t limit)
{
	if (limit == RLIM_INFINITY)
		return "unlimited";
	(void)snprintf(text, LIMIT_TEXT_BYTES, "%llu", (unsigned long long)limit);
	return text;
}

int restore_limits_check(const struct own_limits *own, const struct checked_task *task, struct error *err)
{
	const TaskRlimitsEntry *limits = task->threads[0].core->tc->rlimits;

	for (size_t i = 0; limits && i < limits->n_rlimits && i < RLIM_NLIMITS; i++) {
		char wanted[LIMIT_TEXT_BYTES], here[LIMIT_TEXT_BYTES];

		if (limits->rlimits[i]->max <= own->limits[i].rlim_max || own->may_raise)
			continue;
		error_hint(err, "restore with CAP_SYS_RESOURCE, or with a higher hard limit (here it is %s)",
			   describe_limit(here, own->limits[i].rlim_max));
		return error_say(err, -EPERM, "pid %u (%s): its limit %s of %s is higher than what can be given here",
				 task->entry->pid, task->threads[0].core->tc->comm, limit_names[i],
				 describe_limit(wanted, limits->rlimits[i]->max));
	}
	return 0;
}

static bool is_raised(const struct own_limits *own, size_t number, const RlimitEntry *wanted)
{
	return wanted->max > own->limits[number].rlim_max;
}

void restore_limits_plan(const struct own_limits *own, const struct restore_task *task)
{
	const TaskRlimitsEntry *limits = task->image->threads[0].core->tc->rlimits;
	struct restorer_task *out = task->restorer;

	for (size_t i = 0; limits && i < limits->n_rlimits && i < RLIM_NLIMITS; i++) {
		const RlimitEntry *wanted = limits->rlimits[i];

		_Static_assert(RESTORER_LIMITS >= RLIM_NLIMITS, "border");
		if (is_raised(own, i, wanted) ||
		    (own->limits[i].rlim_cur == wanted->cur && own->limits[i].rlim_max == wanted->max))
			continue;
		out->limits[i] = (struct restorer_limit){ wanted->cur, wanted->max };
		out->limits_to_set |= 1u << i;
	}
}

/* A first thread that has ended reaches nothing of the process. */
static pid_t acting_tid(const struct restore_task *task)
{
	return task->restorer->threads[task->restorer->acting].tid;
}

static int apply_rlimits(const struct own_limits *own, const struct restore_task *task, struct error *err)
{
	const TaskRlimitsEntry *limits = task->image->threads[0].core->tc->rlimits;

	for (size_t i = 0; limits && i < limits->n_rlimits && i < RLIM_NLIMITS; i++) {
		const struct rlimit wanted = { limits->rlimits[i]->cur, limits->rlimits[i]->max };

		if (!is_raised(own, i, limits->rlimits[i]))
			continue;
		if (prlimit(acting_tid(task), (__rlimit_resource_t)i, &wanted, NULL) < 0)
			return error_set(err, -errno, "set %s", limit_names[i]);
	}
	return 0;
}

static int write_proc(pid_t pid, const char *name, const char *text)
{
	char path[64];
	AUTO_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write_all(fd, text, strlen(text));
}

static int write_proc_number(pid_t pid, const char *name, const char *format, long value, struct error *err)
{
	char text[32];
	int r;

	(void)snprintf(text, sizeof(text), format, value);
	r = write_proc(pid, name, text);
	return r < 0 ? error_set(err, r, "set %s to %s", name, text) : 0;
}

static int apply_sched(const struct own_limits *own, pid_t tid, const ThreadCoreEntry *core, struct error *err)
{
	struct sched_attributes wanted = own->sched;
	int r;

	wanted.policy = core->has_sched_policy ? core->sched_policy : wanted.policy;
	wanted.nice = core->has_sched_nice ? core->sched_nice : wanted.nice;
	wanted.priority = core->has_sched_prio ? core->sched_prio : 0;
	wanted.flags = core->has_sched_flags ? core->sched_flags : 0;
	if (core->has_sched_runtime) {
		wanted.runtime_ns = core->sched_runtime;
		wanted.has_slice = true;
	}
	if (core->has_sched_deadline)
		wanted.deadline_ns = core->sched_deadline;
	if (core->has_sched_period)
		wanted.period_ns = core->sched_period;
	wanted.has_util_clamp = core->has_sched_util_min || core->has_sched_util_max;
	if (core->has_sched_util_min)
		wanted.util_min = core->sched_util_min;
	if (core->has_sched_util_max)
		wanted.util_max = core->sched_util_max;
	/* Who was born of a real-time thread has lost what it would have inherited. */
	if (!(core->has_default_timer_slack_ns && !core->default_timer_slack_ns) &&
	    wanted.policy == own->sched.policy && wanted.nice == own->sched.nice &&
	    wanted.priority == own->sched.priority && wanted.flags == own->sched.flags &&
	    wanted.runtime_ns == own->sched.runtime_ns && wanted.deadline_ns == own->sched.deadline_ns &&
	    wanted.period_ns == own->sched.period_ns &&
	    (!wanted.has_util_clamp ||
	     (wanted.util_min == own->sched.util_min && wanted.util_max == own->sched.util_max)))
		return 0;
	r = sched_write_attributes(tid, &wanted);
	return r < 0 ? error_set(err, r, "thread %d: set scheduling policy %u, nice %d, priority %u", tid,
				 wanted.policy, wanted.nice, wanted.priority)
		     : 0;
}

static int apply_affinity(const struct own_limits *own, pid_t tid, const ProtobufCBinaryData *mask, struct error *err)
{
	size_t words = (mask->len + 7) / 8, common = words < own->affinity_words ? words : own->affinity_words;
	AUTO_FREE uint64_t *wanted = calloc(words + 1, sizeof(*wanted));
	bool differs = false;
	int r;

	if (!wanted)
		return error_set(err, -ENOMEM, "thread %d: processor affinity", tid);
	memcpy(wanted, mask->data, mask->len);
	for (size_t i = 0; i < words; i++)
		differs |= wanted[i] != (i < common ? own->affinity[i] : 0);
	for (size_t i = common; i < own->affinity_words; i++)
		differs |= own->affinity[i] != 0;
	if (!differs)
		return 0;
	r = sched_write_affinity(tid, wanted, words);
	/* None of its processors is here: it may run on those that are. */
	if (r == -EINVAL) {
		log_warn("thread %d: none of the processors it was bound to can be used here\n", tid);
		return 0;
	}
	return r < 0 ? error_set(err, r, "thread %d: set processor affinity", tid) : 0;
}

static int apply_thread(const struct own_limits *own, pid_t tid, const ThreadCoreEntry *core, struct error *err)
{
	int r = core->has_cpu_affinity ? apply_affinity(own, tid, &core->cpu_affinity, err) : 0;

	if (r == 0 && core->has_io_prio && (int)core->io_prio != own->ioprio) {
		r = ioprio_write(tid, (int)core->io_prio);
		if (r < 0)
			return error_set(err, r, "thread %d: set I/O priority", tid);
	}
	return r < 0 ? r : apply_sched(own, tid, core, err);
}

static int apply_autogroup(pid_t pid, const TaskCoreEntry *tc, struct error *err)
{
	char text[32];
	int r;

	if (!tc->has_autogroup_nice || !tc->autogroup_nice)
		return 0;
	(void)snprintf(text, sizeof(text), "%d", tc->autogroup_nice);
	r = write_proc(pid, "autogroup", text);
	if (r == -ENOENT)
		error_hint(err, "the kernel needs CONFIG_SCHED_AUTOGROUP");
	return r < 0 ? error_set(err, r, "set the nice value of its session's scheduling group to %s", text) : 0;
}

/* Of this thread alone. */
static int set_effective_capabilities(const uint32_t effective[2])
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].effective = effective[0];
	data[1].effective = effective[1];
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Without CAP_SYS_RESOURCE for the moment. */
static int write_unprivileged(pid_t pid, const char *name, long value, struct error *err)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };
	int r = syscall(SYS_capget, &header, data) < 0 ? -errno : 0, back;

	if (r == 0)
		r = set_effective_capabilities(
		    (uint32_t[]){ data[0].effective & ~(1u << CAP_SYS_RESOURCE), data[1].effective });
	if (r < 0)
		return error_set(err, r, "give CAP_SYS_RESOURCE up for a moment");
	r = write_proc_number(pid, name, "%ld", value, err);
	back = set_effective_capabilities((uint32_t[]){ data[0].effective, data[1].effective });
	return r < 0 || back == 0 ? r : error_set(err, back, "take CAP_SYS_RESOURCE back");
}

/*
 * What is written with CAP_SYS_RESOURCE is also the lowest that is allowed without. Without it that stays what our own
 * is, and writing shows whether it is higher.
 */
static int apply_oom_score_adj(const struct own_limits *own, pid_t pid, const TaskCoreEntry *tc, struct error *err)
{
	struct error unused = { 0 };

	if (!tc->has_oom_score_adj_min)
		return tc->oom_score_adj == own->oom_score_adj
			   ? 0
			   : write_proc_number(pid, "oom_score_adj", "%ld", tc->oom_score_adj, err);
	if (write_proc_number(pid, "oom_score_adj", "%ld", tc->oom_score_adj_min, &unused) < 0)
		log_warn("pid %d (%s): it could lower its oom_score_adj to %d, which takes CAP_SYS_RESOURCE here\n",
			 pid, tc->comm, tc->oom_score_adj_min);
	return write_unprivileged(pid, "oom_score_adj", tc->oom_score_adj, err);
}

int restore_limits_apply(const struct own_limits *own, const struct restore_task *task, struct error *err)
{
	const struct checked_task *image = task->image;
	const TaskCoreEntry *tc = image->threads[0].core->tc;
	int r = 0;

	for (size_t i = 0; r == 0 && i < image->thread_count; i++)
		r = apply_thread(own, i ? (pid_t)image->threads[i].tid : task->pid, image->threads[i].core->thread_core,
				 err);
	if (r == 0 && tc->has_oom_score_adj)
		r = apply_oom_score_adj(own, acting_tid(task), tc, err);
	if (r == 0 && tc->has_coredump_filter && tc->coredump_filter != own->coredump_filter)
		r = write_proc_number(acting_tid(task), "coredump_filter", "0x%lx", (long)tc->coredump_filter, err);
	if (r == 0)
		r = apply_autogroup(acting_tid(task), tc, err);
	if (r == 0)
		r = apply_rlimits(own, task, err);
	if (r < 0)
		error_prefix(err, "pid %d (%s)", task->pid, tc->comm);
	return r;
}

int restore_limits_apply_ended(const struct own_limits *own, const EndedEntry *ended, struct error *err)
{
	int r = apply_thread(own, 0, ended->scheduling, err);

	if (r == 0 && ended->oom_score_adj != own->oom_score_adj)
		r = write_proc_number(getpid(), "oom_score_adj", "%ld", ended->oom_score_adj, err);
	return r;
}
