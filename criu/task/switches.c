/*
 * What a process or thread has switched on by prctl(2) and its like: child subreaper, parent-death signal, membarrier,
 * MDWE, KSM, locking of future mappings, futex buckets, processor state that is used on request; I/O flusher, MCE
 * policy, speculation controls; robust list, rseq, syscall user dispatch and name of a thread.
 */
#include <errno.h>
#include <linux/prctl.h>

#include "arch/x86/xstate.h"
#include "task/core-save.h"
#include "task/io-ports.h"
#include "task/task-look.h"
#include "pie/parasite-border.h"

#define MCE_KILL_DEFAULT 2

int switches_death_signal(const struct task *task)
{
	int signal = task->ended_leader ? task->ended_leader->state->pdeath_signal : 0;

	for (size_t i = 0; i < task->thread_count && signal <= 0; i++)
		signal = task->threads[i].parasite->pdeath_signal;
	return signal > 0 ? signal : 0;
}

int switches_save_process(const struct task *task, TaskCoreEntry *tc, struct arena *arena)
{
	const struct parasite_task *told = task->parasite;
	const struct task_state *state = task->state;

	(void)arena;
	tc->personality = (uint32_t)told->personality;
	tc->flags = task->stat.flags;
	tc->has_loginuid = state->has_loginuid;
	tc->loginuid = state->loginuid;
	tc->has_audit_session = state->audit_session != 0;
	tc->audit_session = state->audit_session;
	tc->has_oom_score_adj = true;
	tc->oom_score_adj = state->oom_score_adj;
	tc->has_oom_score_adj_min = state->oom_score_adj_min < state->oom_score_adj;
	tc->oom_score_adj_min = state->oom_score_adj_min;
	tc->has_child_subreaper = true;
	tc->child_subreaper = told->child_subreaper > 0;
	tc->has_membarrier_registration_mask = told->membarrier > 0;
	tc->membarrier_registration_mask = (uint32_t)told->membarrier;
	tc->has_autogroup_nice = state->autogroup_nice != 0;
	tc->autogroup_nice = state->autogroup_nice;
	tc->has_coredump_filter = state->has_coredump_filter;
	tc->coredump_filter = state->coredump_filter;
	tc->has_mdwe = told->mdwe > 0;
	tc->mdwe = (uint32_t)told->mdwe;
	tc->has_ksm = told->ksm > 0;
	tc->ksm = told->ksm > 0;
	tc->requested_components = xstate_requested_components(told->state_components);
	tc->has_requested_components = tc->requested_components != 0;
	/* A process with threads has buckets of its own unless it has chosen not to. */
	tc->has_futex_hash = told->futex_hash > 0 || (told->futex_hash == 0 && task->thread_count > 1);
	tc->futex_hash = tc->has_futex_hash ? (uint32_t)told->futex_hash : 0;
	tc->has_thp_disable_flags = told->thp_disabled > 1;
	tc->thp_disable_flags = (uint32_t)told->thp_disabled;
	tc->has_lock_future = told->locked_here > 0;
	tc->lock_future = (uint32_t)told->locked_here;
	return 0;
}

static int save_user_dispatch(const struct syscall_user_dispatch *config, ThreadCoreEntry *tc, struct arena *arena)
{
	UserDispatchEntry *entry;

	if (!config->mode)
		return 0;
	entry = arena_alloc(arena, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	user_dispatch_entry__init(entry);
	entry->selector = config->selector;
	entry->offset = config->offset;
	entry->length = config->length;
	tc->user_dispatch = entry;
	return 0;
}

static int save_speculation(const struct parasite_thread *told, ThreadCoreEntry *tc, struct arena *arena)
{
	tc->speculation = arena_alloc(arena, PARASITE_MAX_SPECULATION * sizeof(*tc->speculation));
	if (!tc->speculation)
		return -ENOMEM;
	for (uint32_t which = 0; which < PARASITE_MAX_SPECULATION; which++) {
		int64_t value = told->speculation[which];
		SpeculationEntry *entry;

		/* Only what a prctl of the task could have set: PR_SPEC_PRCTL, and not the default. */
		if (value <= 0 || !(value & PR_SPEC_PRCTL) || value == (PR_SPEC_PRCTL | PR_SPEC_ENABLE))
			continue;
		entry = arena_alloc(arena, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		speculation_entry__init(entry);
		entry->which = which;
		entry->value = (uint32_t)value;
		tc->speculation[tc->n_speculation++] = entry;
	}
	return 0;
}

int switches_save_thread(const struct task_thread *thread, ThreadCoreEntry *tc, struct arena *arena)
{
	const struct thread_state *state = thread->state;
	int r;

	tc->futex_rla = state->robust_list;
	tc->futex_rla_len = (uint32_t)state->robust_bytes;
	tc->comm = (char *)thread->status.name;
	tc->has_pdeath_sig = thread->parasite->pdeath_signal > 0;
	tc->pdeath_sig = (uint32_t)thread->parasite->pdeath_signal;
	tc->has_io_flusher = thread->parasite->io_flusher > 0;
	tc->io_flusher = thread->parasite->io_flusher > 0;
	tc->has_tsc_faults = tc->tsc_faults = thread->parasite->tsc_mode == PR_TSC_SIGSEGV;
	tc->io_privilege = io_ports_level(thread);
	tc->has_io_privilege = tc->io_privilege != 0;
	tc->has_cpuid_faults = tc->cpuid_faults = thread->parasite->cpuid == 0;
	tc->has_mce_kill = thread->parasite->mce_kill >= 0 && thread->parasite->mce_kill != MCE_KILL_DEFAULT;
	tc->mce_kill = (uint32_t)thread->parasite->mce_kill;
	tc->has_request_keyring = thread->parasite->request_keyring >= 0;
	tc->request_keyring = (uint32_t)thread->parasite->request_keyring;
	if (state->has_rseq) {
		RseqEntry *rseq = arena_alloc(arena, sizeof(*rseq));

		if (!rseq)
			return -ENOMEM;
		rseq_entry__init(rseq);
		rseq->rseq_abi_pointer = state->rseq.address;
		rseq->rseq_abi_size = state->rseq.size;
		rseq->signature = state->rseq.signature;
		tc->rseq_entry = rseq;
	}
	r = save_user_dispatch(&state->user_dispatch, tc, arena);
	return r < 0 ? r : save_speculation(thread->parasite, tc, arena);
}
