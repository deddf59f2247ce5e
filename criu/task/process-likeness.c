#include "task/process-likeness.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "kernel/features.h"
#include "kernel/process-facts.h"
#include "mm/map-flags.h"
#include "pie/parasite-border.h"
#include "task/likeness.h"
#include "task/task-look.h"

#define MANY_PROCESSES 16 /* fewer are asked faster than the program is loaded */
#define MODELS_MAX     16 /* kinds of processes; one more is asked, and may be one */
#define KNOWN_FDS      64

/* What a program can see of the flags of an action. */
#define ACTION_FLAGS                                                                                                   \
	((uint64_t)(unsigned int)(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |    \
				  SA_RESETHAND) |                                                                      \
	 0x04000000 /* SA_RESTORER */)

_Static_assert(sizeof(struct parasite_sigaction) == sizeof(struct process_action) &&
		   PARASITE_SIGNALS == PROCESS_SIGNALS,
	       "the same");
_Static_assert(sizeof(struct parasite_limit) == sizeof(struct process_limit) && PARASITE_LIMITS == PROCESS_LIMITS,
	       "the same");

static void read_facts(struct dump *d)
{
	int r;

	if (d->task_count < MANY_PROCESSES || feature_is_masked("process_facts"))
		return;
	r = preparation_process_program(&d->preparation);
	r = r < 0 ? r : process_facts_read(r, &d->process_facts);
	if (r == 0)
		return;
	process_facts_done(&d->process_facts);
	log_debug("processes are asked one by one: %s", strerror(-r));
}

static bool has_usual_actions(const struct process_facts *facts)
{
	for (size_t i = 0; i < PROCESS_SIGNALS; i++)
		if (facts->actions[i].flags & ~ACTION_FLAGS)
			return false;
	return true;
}

static bool has_timers(const struct process_values *values)
{
	static const struct process_cpu_timer none[2];

	return memcmp(values->cpu_timers, none, sizeof(none)) != 0 || values->real_interval || values->real_is_running;
}

/* Since it was looked at; who is asked is looked at again. */
static bool has_new_signals(const struct task *task, const struct process_values *values)
{
	const struct proc_status *known = &task->threads[0].status;

	return values->pending & ~known->sig_pending || values->shared_pending & ~known->sig_shared_pending;
}

/* Only then is all that is asked of it known, or known to hang on what is compared. */
static bool can_be_like_another(const struct task *task, const struct process_facts *facts)
{
	const struct process_values *values = facts->values;

	if (task->is_zombie || task->ended_leader || task->vfork_child || task->vfork_parent ||
	    task->thread_count != 1 || task->first_child || task->state->timer_count ||
	    (task->fd_count && !task->knows_close_on_exec && task->fds[task->fd_count - 1].fd >= KNOWN_FDS))
		return false;
	return !values->io_uring && !values->numa_policy && !values->likeness.ldt && !has_timers(values) &&
	       !has_new_signals(task, values) && has_usual_actions(facts) &&
	       facts->auxv_bytes <= sizeof(task->parasite->auxv);
}

/* A process that is asked, and what is known of it. */
struct model {
	struct task *task;
	struct process_facts facts;
};

static struct task *find_model(const struct model *models, size_t count, const struct process_facts *facts)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(&models[i].facts.values->likeness, &facts->values->likeness,
			   sizeof(facts->values->likeness)) == 0)
			return models[i].task;
	return NULL;
}

void process_likeness_choose(struct dump *d)
{
	struct model models[MODELS_MAX];
	size_t count = 0, alike = 0;

	read_facts(d);
	for_each_task (d, task) {
		struct process_facts facts;

		task->like = task->vfork_child;
		if (!process_facts_find(&d->process_facts, task->host_pid, &facts) ||
		    !can_be_like_another(task, &facts))
			continue;
		task->like = map_flags_may_hide_policies(task) ? NULL : find_model(models, count, &facts);
		if (task->like)
			alike++;
		else if (count < MODELS_MAX)
			models[count++] = (struct model){ task, facts };
	}
	if (alike)
		log_debug("%zu of %zu processes are like one of %zu others", alike, d->task_count, count);
}

/* --- in place of asking ------------------------------------------------------------------------------------------ */

/* All in one piece, as the parasite's. */
struct answers {
	struct parasite_task task;
	struct parasite_thread threads[];
};

static void take_process(struct parasite_task *ret, const struct process_facts *facts)
{
	memcpy(ret->sigactions, facts->actions, sizeof(ret->sigactions));
	memcpy(ret->limits, facts->limits, sizeof(ret->limits));
	memset(ret->itimers, 0, sizeof(ret->itimers));
	memset(ret->auxv, 0, sizeof(ret->auxv));
	memcpy(ret->auxv, facts->auxv, facts->auxv_bytes);
	ret->auxv_bytes = (int64_t)facts->auxv_bytes;
	ret->brk = facts->values->heap_end;
	ret->posix_timer_count = ret->fd_count = ret->child_count = ret->mapping_count = 0;
	ret->posix_timers = ret->fds = ret->children = ret->mappings = 0;
}

static void take_first_thread(struct parasite_thread *ret, const struct process_values *values)
{
	ret->clear_tid_address = values->clear_tid;
	ret->sas_address = values->sas_address;
	ret->sas_bytes = values->sas_bytes;
	ret->sas_flags = likeness_sas_flags(values->sas_bytes, values->sas_flags);
	ret->pdeath_signal = (int32_t)values->pdeath_signal;
	ret->timer_slack_ns = (int64_t)values->timer_slack_ns;
}

int process_likeness_take_answers(const struct dump *d, struct task *task, struct error *err)
{
	struct answers *answers = malloc(sizeof(*answers) + task->thread_count * sizeof(answers->threads[0]));
	struct process_facts facts;

	if (!answers ||
	    !process_facts_find(task->vfork_child ? &d->vfork_facts : &d->process_facts, task->host_pid, &facts)) {
		free(answers);
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	}
	free(task->parasite);
	task->parasite = &answers->task;
	answers->task = *task->like->parasite;
	answers->threads[0] = *task->like->threads[0].parasite;
	take_process(&answers->task, &facts);
	take_first_thread(&answers->threads[0], facts.values);
	task->threads[0].parasite = &answers->threads[0];
	for (size_t i = 1; i < task->thread_count; i++) {
		task->threads[i].parasite = &answers->threads[i];
		likeness_take_answers(&task->threads[0], &task->threads[i], &answers->threads[i]);
	}
	for (size_t i = 0; i < task->fd_count && !task->knows_close_on_exec; i++)
		task->fds[i].close_on_exec = facts.values->close_on_exec >> task->fds[i].fd & 1;
	return 0;
}
