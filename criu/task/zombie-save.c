/*
 * The core image of a zombie: how it ended, whose it was, and what /proc still shows of it, which is most of what is
 * process-wide but for its memory and descriptors. Nothing can be asked from inside, so what only the task itself could
 * tell is gone, for everybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "image/image-write.h"
#include "kernel/proc-misc.h"
#include "kernel/sched.h"
#include "task/core-save.h"

enum { TASK_DEAD = 2, LIMITS = 16 };

static int save_limits(const struct proc_limit limits[LIMITS], EndedEntry *ended, struct arena *arena)
{
	TaskRlimitsEntry *entries = arena_alloc(arena, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	task_rlimits_entry__init(entries);
	entries->rlimits = arena_alloc(arena, LIMITS * sizeof(*entries->rlimits));
	for (size_t i = 0; entries->rlimits && i < LIMITS; i++) {
		RlimitEntry *entry = arena_alloc(arena, sizeof(*entry));

		if (!entry)
			return -ENOMEM;
		rlimit_entry__init(entry);
		entry->cur = limits[i].current;
		entry->max = limits[i].maximum;
		entries->rlimits[entries->n_rlimits++] = entry;
	}
	ended->rlimits = entries;
	return entries->rlimits ? 0 : -ENOMEM;
}

static int save_scheduling(const struct task *task, ThreadCoreEntry *core, struct arena *arena)
{
	AUTO_CLOSE int fd = proc_open_timer_slack(task->host_pid);
	AUTO_FREE uint64_t *words = NULL;
	struct sched_attributes sched;
	uint64_t slack = 0;
	size_t count = 0;
	int r = sched_read_attributes(task->host_pid, &sched);

	if (r == 0)
		r = sched_read_affinity(task->host_pid, &words, &count);
	if (r < 0)
		return r;
	sched_save_policy(&sched, core);
	core->has_cpu_affinity = true;
	core->cpu_affinity.len = count * sizeof(*words);
	core->cpu_affinity.data = arena_memdup(arena, words, core->cpu_affinity.len);
	core->has_timer_slack_ns = fd >= 0 && proc_read_timer_slack(fd, &slack) == 0 && slack;
	core->timer_slack_ns = slack;
	return core->cpu_affinity.data ? 0 : -ENOMEM;
}

/* What /proc calls the settings that a prctl(2) of the task has made. */
static const struct {
	uint32_t which, value;
	const char *words;
} speculation_words[] = {
	{ PR_SPEC_STORE_BYPASS, PR_SPEC_PRCTL | PR_SPEC_DISABLE, "thread mitigated" },
	{ PR_SPEC_STORE_BYPASS, PR_SPEC_PRCTL | PR_SPEC_FORCE_DISABLE, "thread force mitigated" },
	{ PR_SPEC_INDIRECT_BRANCH, PR_SPEC_PRCTL | PR_SPEC_DISABLE, "conditional disabled" },
	{ PR_SPEC_INDIRECT_BRANCH, PR_SPEC_PRCTL | PR_SPEC_FORCE_DISABLE, "conditional force disabled" },
};

static int save_speculation(const struct proc_status *status, ThreadCoreEntry *core, struct arena *arena)
{
	core->speculation = arena_alloc(arena, ARRAY_SIZE(speculation_words) * sizeof(*core->speculation));
	if (!core->speculation)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(speculation_words); i++) {
		const bool is_bypass = speculation_words[i].which == PR_SPEC_STORE_BYPASS;
		SpeculationEntry *entry;

		if (strcmp(speculation_words[i].words,
			   is_bypass ? status->speculation_store_bypass : status->speculation_indirect_branch) != 0)
			continue;
		entry = arena_alloc(arena, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		speculation_entry__init(entry);
		entry->which = speculation_words[i].which;
		entry->value = speculation_words[i].value;
		core->speculation[core->n_speculation++] = entry;
	}
	return 0;
}

/* A kernel that does not tell how many does not show it either. */
static uint32_t count_filters(const struct proc_status *status)
{
	if (status->seccomp_filter_count >= 0)
		return (uint32_t)status->seccomp_filter_count;
	return status->seccomp_mode == SECCOMP_MODE_FILTER;
}

static int save_shown(const struct task *task, const struct proc_status *status, TaskCoreEntry *tc, struct arena *arena)
{
	EndedEntry *ended = arena_alloc(arena, sizeof(*ended));
	struct proc_limit limits[LIMITS];
	int r;

	if (!ended)
		return -ENOMEM;
	ended_entry__init(ended);
	ended->scheduling = arena_alloc(arena, sizeof(*ended->scheduling));
	if (!ended->scheduling)
		return -ENOMEM;
	thread_core_entry__init(ended->scheduling);
	r = save_scheduling(task, ended->scheduling, arena);
	if (r == 0)
		r = save_speculation(status, ended->scheduling, arena);
	if (r == 0)
		r = proc_read_limits(task->procfd, limits, LIMITS);
	if (r == 0)
		r = save_limits(limits, ended, arena);
	if (r == 0)
		r = proc_read_oom_score_adj(task->procfd, &ended->oom_score_adj);
	if (r < 0)
		return r;
	ended->has_loginuid = proc_read_loginuid(task->procfd, &ended->loginuid) == 0;
	ended->has_audit_session = ended->has_loginuid && ended->loginuid != (uint32_t)-1 &&
				   proc_read_sessionid(task->procfd, &ended->audit_session) == 0;
	ended->blocked = status->sig_blocked;
	ended->ignored = status->sig_ignored;
	ended->caught = status->sig_caught;
	ended->pending = status->sig_shared_pending;
	ended->has_personality = proc_read_personality(task->procfd, &ended->personality) == 0;
	ended->has_seccomp_mode = status->seccomp_mode > 0;
	ended->seccomp_mode = ended->has_seccomp_mode ? (uint32_t)status->seccomp_mode : 0;
	ended->seccomp_filters = count_filters(status);
	ended->has_seccomp_filters = ended->seccomp_filters != 0;
	tc->ended = ended;
	return 0;
}

int zombie_save(struct dump *d, struct task *task, struct error *err)
{
	AUTO_ARENA struct arena arena = { 0 };
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	CoreEntry core = CORE_ENTRY__INIT;
	TaskCoreEntry tc = TASK_CORE_ENTRY__INIT;
	int r = proc_status_read(task->procfd, "status", &status);

	if (r == 0)
		r = creds_save_zombie(&status, &tc, &arena);
	if (r == 0)
		r = save_shown(task, &status, &tc, &arena);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ", a zombie", TASK_ARGS(task));
	core.mtype = CORE_ENTRY__MARCH__X86_64;
	core.tc = &tc;
	tc.has_ended_nice = true;
	tc.ended_nice = task->stat.nice;
	tc.task_state = TASK_DEAD;
	tc.exit_code = (uint32_t)task->stat.exit_code;
	core_save_exit_signal(task, &tc);
	tc.comm = task->comm;
	return image_write_one(d->set, IMAGE_CORE, (uint64_t)task_id_own(&task->id), &core, err);
}
