#include "task/likeness.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/regs.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "kernel/features.h"
#include "kernel/thread-facts.h"
#include "pie/parasite-border.h"
#include "task/task-look.h"

#define MANY_THREADS       16 /* fewer are asked faster than the program is loaded */
#define ROBUST_LIST_BYTES  24
#define FILTERING_DISABLED 0

/* Where threads have an object each, equal addresses would say more, and different ones less, than they do elsewhere.
 */
bool likeness_can_be_compared(const struct thread_likeness *leader)
{
	return !leader->numa_policy && !leader->io_context && !leader->port_bitmap &&
	       leader->seccomp_mode == FILTERING_DISABLED &&
	       (leader->policy == SCHED_OTHER || leader->policy == SCHED_BATCH || leader->policy == SCHED_IDLE);
}

int likeness_read_facts(struct task *task, int program_fd)
{
	AUTO_FREE pid_t *tids = calloc(task->thread_count, sizeof(*tids));

	if (!tids)
		return -ENOMEM;
	for (size_t i = 0; i < task->thread_count; i++)
		tids[i] = task->threads[i].tid;
	return thread_facts_read(program_fd, task->pidfd, tids, task->thread_count, &task->thread_facts);
}

static void look_at_task(struct task *task, int program_fd)
{
	const struct thread_facts *facts;
	size_t alike = 0;
	int r = likeness_read_facts(task, program_fd);

	facts = task->thread_facts;
	for (size_t i = 1; r == 0 && likeness_can_be_compared(&facts[0].likeness) && i < task->thread_count; i++) {
		if (facts[i].io_uring || memcmp(&facts[i].likeness, &facts[0].likeness, sizeof(facts[i].likeness)) != 0)
			continue;
		task->threads[i].facts_own = &facts[i];
		alike++;
	}
	log_debug(TASK_FORMAT ": %zu of %zu threads are like the first one%s", TASK_ARGS(task), alike,
		  task->thread_count, r < 0 ? ", for nothing is known of them" : "");
}

void likeness_look(struct dump *d)
{
	AUTO_CLOSE int program_fd = -1;

	if (feature_is_masked("thread_facts"))
		return;
	for_each_task (d, task) {
		/* In a stopped one signal masks are looked at that nothing tells of all threads at once. */
		if (task->is_zombie || task->stop_signal || task->thread_count < MANY_THREADS)
			continue;
		if (program_fd < 0)
			program_fd = thread_facts_open();
		if (program_fd < 0) {
			log_debug("threads are asked one by one: %s", strerror(-program_fd));
			return;
		}
		look_at_task(task, program_fd);
	}
}

/* --- in place of asking ------------------------------------------------------------------------------------------ */

static int copy_status(const struct proc_status *from, const struct task_thread *thread, struct proc_status *ret)
{
	const struct thread_facts *facts = thread->facts_own;
	uint32_t *groups = calloc(from->group_count + 1, sizeof(*groups));

	if (!groups)
		return -ENOMEM;
	if (from->group_count)
		memcpy(groups, from->groups, from->group_count * sizeof(*groups));
	*ret = *from;
	ret->groups = groups;
	ret->pid = thread->tid;
	ret->sig_pending = facts->pending;
	ret->voluntary_switches = facts->voluntary_switches;
	(void)memcpy(ret->name, facts->name, THREAD_NAME_BYTES);
	ret->name[THREAD_NAME_BYTES - 1] = '\0';
	return 0;
}

int likeness_take_look(const struct task *task, struct task_thread *thread, struct error *err)
{
	const struct task_thread *leader = &task->threads[0];
	const struct thread_facts *facts = thread->facts_own;
	const size_t bytes = leader->state->affinity_words * sizeof(uint64_t);
	struct thread_state *state = thread->state;
	int r = copy_status(&leader->status, thread, &thread->status);

	state->affinity = malloc(bytes + 1);
	if (r < 0 || !state->affinity)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	memcpy(state->affinity, leader->state->affinity, bytes);
	state->affinity_words = leader->state->affinity_words;
	state->sched = leader->state->sched;
	state->io_priority = leader->state->io_priority;
	state->robust_list = facts->robust_list;
	state->robust_bytes = ROBUST_LIST_BYTES;
	state->rseq = (struct rseq_config){ .address = facts->rseq,
					    .size = facts->rseq_bytes,
					    .signature = facts->rseq_signature };
	return 0;
}

uint32_t likeness_sas_flags(uint64_t bytes, uint32_t kernel_flags)
{
	return (bytes ? 0 : (uint32_t)SS_DISABLE) | (kernel_flags & SAS_AUTODISARM);
}

void likeness_take_answers(const struct task_thread *leader, const struct task_thread *thread,
			   struct parasite_thread *ret)
{
	const struct thread_facts *facts = thread->facts_own;

	*ret = *leader->parasite;
	ret->is_leader = 0;
	ret->ring_numbers = 0;
	ret->clear_tid_address = facts->clear_tid;
	ret->clear_tid_result = 0;
	ret->sas_address = facts->sas_address;
	ret->sas_bytes = facts->sas_bytes;
	ret->sas_flags = likeness_sas_flags(facts->sas_bytes, facts->sas_flags);
	ret->pdeath_signal = (int32_t)facts->pdeath_signal;
	ret->timer_slack_ns = (int64_t)facts->timer_slack_ns;
}

void likeness_free(struct task *task)
{
	free(task->thread_facts);
	task->thread_facts = NULL;
}
