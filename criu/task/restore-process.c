/*
 * Messages of core-TID.img become fixed-width records in the restore area. Registers and extended state are converted
 * here too: the first are handed over from outside, by the worker or, should it die, by the rescuer.
 */
#include "task/likeness.h"
#include "task/restore-process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/user.h>

#include "arch/x86/debug-registers.h"
#include "arch/x86/ldt.h"
#include "arch/x86/regs.h"
#include "arch/x86/syscall-restart.h"
#include "arch/x86/xstate.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "engine/restore.h"
#include "kernel/features.h"
#include "kernel/proc-pid.h"
#include "mm/protection-keys.h"
#include "mm/restore-area.h"
#include "security/lsm.h"
#include "task/interrupted-call.h"
#include "task/restore-limits.h"
#include "task/restore-zombie.h"

#define SUID_DUMPABLE    "/proc/sys/fs/suid_dumpable"
#define SIGNALS_IN_IMAGE 62 /* SIGKILL and SIGSTOP have no handler */

/* --- the open stage ---------------------------------------------------------------------------------------------- */

static int check_thread(const struct restore *r, const struct own_creds *own, const struct checked_thread *thread,
			const char *comm, struct error *err)
{
	const ThreadCoreEntry *core = thread->core->thread_core;
	char who[64];
	int result;

	(void)r;
	(void)snprintf(who, sizeof(who), "pid %u (%s)", thread->tid, comm);
	if (core->creds) {
		result = restore_creds_check(own, core->creds, who, err);
		if (result < 0)
			return result;
		result = lsm_check(core->creds->lsm_profile, who, err);
		if (result == 0)
			result = lsm_check_sockets(core->creds->lsm_sockcreate, who, err);
		if (result < 0)
			return result;
	}
	return 0;
}

/* What a change of ids leaves is what the kernel's switch says at that time. */
static int check_dumpable(const struct checked_task *task, struct error *err)
{
	const MmEntry *mm = task->mm;
	char text[16] = "";

	if (!mm || !mm->has_dumpable || mm->dumpable != 2)
		return 0;
	if (proc_read_text(AT_FDCWD, SUID_DUMPABLE, text, sizeof(text)) > 0 && text[0] == '2')
		return 0;
	error_hint(err, "sysctl fs.suid_dumpable=2 for the time of the restore");
	return error_say(
	    err, -EOPNOTSUPP,
	    "pid %u (%s): its core dumps are for root alone (fs.suid_dumpable was 2), which can be had here "
	    "only with the same setting",
	    task->entry->pid, task->threads[0].core->tc->comm);
}

static int check_components(const struct checked_task *task, struct error *err)
{
	const TaskCoreEntry *tc = task->threads[0].core->tc;
	const uint64_t requested = tc->has_requested_components ? tc->requested_components : 0;

	if (!(requested & ~xstate_enabled_components()))
		return 0;
	error_hint(err, "restore it on a processor and kernel with AMX, or start the program without it");
	return error_say(err, -EOPNOTSUPP,
			 "pid %u (%s): has asked for AMX tiles (ARCH_REQ_XCOMP_PERM), which this processor lacks",
			 task->entry->pid, tc->comm);
}

int restore_process_check(const struct restore *r, const struct own_creds *own, const struct checked_task *task,
			  struct error *err)
{
	const TaskCoreEntry *tc = task->threads[0].core->tc;
	int result = 0;

	if (task->is_zombie)
		return restore_zombie_check(own, task, err);
	if (tc->n_sigactions && tc->n_sigactions != SIGNALS_IN_IMAGE)
		return error_say(err, -EBADMSG, "pid %u: %zu signal handlers instead of %d", task->entry->pid,
				 tc->n_sigactions, SIGNALS_IN_IMAGE);
	result = check_dumpable(task, err);
	if (result == 0)
		result = check_components(task, err);
	for (size_t i = 0; result == 0 && i < task->thread_count; i++)
		result = check_thread(r, own, &task->threads[i], tc->comm, err);
	return result;
}

/* --- room -------------------------------------------------------------------------------------------------------- */

static uint64_t queue_room(const SignalQueueEntry *queue)
{
	return queue ? area_room(queue->n_signals, sizeof(struct restorer_siginfo)) : 0;
}

/* Then the number of the newest one is good, and what it follows. */
static bool has_filters(const ThreadCoreEntry *core)
{
	return core->has_seccomp_mode && core->seccomp_mode == SECCOMP_MODE__filter;
}

static uint64_t filters_room(const struct restore *r, const ThreadCoreEntry *core)
{
	const SeccompEntry *seccomp = r->images->seccomp;
	uint64_t bytes = 0;

	if (!has_filters(core))
		return 0;
	for (uint32_t at = core->seccomp_filter;;) {
		const SeccompFilter *filter = seccomp->seccomp_filters[at];

		bytes += area_room(1, sizeof(struct restorer_filter)) + area_room(1, filter->filter.len);
		if (!filter->has_prev)
			return bytes;
		at = filter->prev;
	}
}

static uint64_t thread_room(const struct restore *r, const struct checked_thread *thread)
{
	const ThreadCoreEntry *core = thread->core->thread_core;

	return area_room(1, sizeof(struct restorer_thread)) + area_room(DEBUG_REGISTER_COUNT, sizeof(uint64_t)) +
	       area_room(1, sizeof(struct user_regs_struct)) + xstate_bytes() + 64 + RESTORER_THREAD_STACK_BYTES +
	       queue_room(core->signals_p) + area_room(core->creds ? core->creds->n_groups : 0, sizeof(uint32_t)) +
	       area_room(core->mempolicy ? core->mempolicy->nodemask.len + 8 : 0, 1) +
	       area_room(core->n_speculation, 2 * sizeof(uint32_t)) + filters_room(r, core);
}

uint64_t restore_process_room(const struct restore *r, const struct checked_task *task)
{
	const TaskCoreEntry *tc = task->threads[0].core->tc;
	uint64_t bytes =
	    area_room(1, sizeof(struct restorer_task)) + RESTORER_LEADER_STACK_BYTES + 4096 + queue_room(tc->signals_s);

	if (tc->has_ldt)
		bytes += area_room(ldt_descriptors(tc->ldt.data, tc->ldt.len, NULL), RESTORER_USER_DESC_BYTES);
	if (tc->timers)
		bytes += area_room(tc->timers->n_posix, sizeof(struct restorer_posix_timer));
	for (size_t i = 0; i < task->thread_count; i++)
		bytes += thread_room(r, &task->threads[i]);
	return bytes;
}

/* --- signals and timers ------------------------------------------------------------------------------------------ */

static void plan_sigactions(const TaskCoreEntry *tc, struct restorer_task *out)
{
	size_t at = 0;

	for (int signal = 1; signal <= RESTORER_SIGNALS && at < tc->n_sigactions; signal++) {
		const SaEntry *entry;

		if (signal == SIGKILL || signal == SIGSTOP)
			continue;
		entry = tc->sigactions[at++];
		out->sigactions[signal - 1] = (struct restorer_sigaction){
			.handler = entry->sigaction,
			.flags = entry->flags,
			.restorer = entry->restorer,
			.mask = entry->mask,
		};
	}
}

static bool is_of(const ProtobufCBinaryData *siginfo, uint32_t signal)
{
	uint32_t number = 0;

	if (siginfo->len >= sizeof(number))
		memcpy(&number, siginfo->data, sizeof(number));
	return number == signal;
}

static bool is_pending(const SignalQueueEntry *queue, uint32_t signal)
{
	for (size_t i = 0; queue && i < queue->n_signals; i++)
		if (is_of(&queue->signals[i]->siginfo, signal))
			return true;
	return false;
}

/*
 * A pending SIGSTOP, which nothing blocks, would stop the restorer: its process is stopped in the end, as it was about
 * to be. One that is stopped already is sent it again then.
 */
static int plan_queue(struct restore *r, struct restorer_task *task, const SignalQueueEntry *queue,
		      struct restorer_siginfo **ret_infos, uint64_t *ret_count, struct error *err)
{
	size_t count = queue ? queue->n_signals : 0;
	struct restorer_siginfo *infos = area_alloc(r, count * sizeof(*infos));
	uint64_t taken = 0;

	if (!infos)
		return error_set(err, -ENOMEM, "pending signals");
	for (size_t i = 0; i < count; i++) {
		const ProtobufCBinaryData *data = &queue->signals[i]->siginfo;

		if (data->len != sizeof(infos[taken].bytes))
			return error_say(err, -EBADMSG, "a pending signal of %zu bytes", data->len);
		if (!is_of(data, SIGSTOP))
			memcpy(infos[taken++].bytes, data->data, data->len);
		else if (task->stop_signal)
			task->stop_is_pending = 1;
		else
			task->stop_signal = SIGSTOP;
	}
	*ret_infos = infos;
	*ret_count = taken;
	return 0;
}

static struct restorer_itimer itimer_from_image(const ItimerEntry *entry)
{
	return (struct restorer_itimer){
		.interval_sec = (int64_t)entry->isec,
		.interval_usec = (int64_t)entry->iusec,
		.value_sec = (int64_t)entry->vsec,
		.value_usec = (int64_t)entry->vusec,
	};
}

static int plan_timers(struct restore *r, const TaskCoreEntry *tc, struct restorer_task *out, struct error *err)
{
	const TaskTimersEntry *timers = tc->timers;

	out->last_timer = tc->has_next_timer_id ? (int32_t)((tc->next_timer_id - 1) & INT_MAX) : -1;
	if (!timers)
		return 0;
	out->itimers[0] = itimer_from_image(timers->real);
	out->itimers[1] = itimer_from_image(timers->virt);
	out->itimers[2] = itimer_from_image(timers->prof);
	out->posix_timers = area_alloc(r, timers->n_posix * sizeof(*out->posix_timers));
	if (!out->posix_timers)
		return error_set(err, -ENOMEM, "timers");
	out->posix_timer_count = timers->n_posix;
	out->timers_by_counting = feature_is_masked("timer_cr_ids");
	for (size_t i = 0; i < timers->n_posix; i++) {
		const PosixTimerEntry *entry = timers->posix[i];

		out->posix_timers[i] = (struct restorer_posix_timer){
			.id = (int32_t)entry->it_id,
			.clock_id = (int32_t)entry->clock_id,
			.signal = (int32_t)entry->si_signo,
			.notify = (int32_t)entry->it_sigev_notify,
			.notify_tid = entry->has_notify_thread_id ? entry->notify_thread_id : 0,
			.value = entry->sival_ptr,
			.interval_sec = (int64_t)entry->isec,
			.interval_nsec = (int64_t)entry->insec,
			.value_sec = (int64_t)entry->vsec,
			.value_nsec = (int64_t)entry->vnsec,
			.wall_ns = entry->has_wall_ns ? (int64_t)entry->wall_ns : 0,
			.missed = entry->has_missed ? (int64_t)entry->missed : 0,
			.overrun = entry->overrun,
		};
	}
	return 0;
}

/* A parent in another group of the session: job control works only in a group that has one. */
static bool is_group_controlled(const struct restore *r, const struct restore_task *task)
{
	for (size_t i = 0; i < r->task_count; i++) {
		const struct restore_task *member = r->tasks[i], *parent = member->parent;

		if (member->pgid == task->pgid && !member->is_zombie && parent && parent->pgid != task->pgid &&
		    parent->sid == task->sid)
			return true;
	}
	return false;
}

/*
 * The signal that stopped it, where nobody but its parent could tell the difference and it is sure to do so again;
 * SIGSTOP is.
 */
static uint32_t choose_stop_signal(const struct restore *r, const struct restore_task *task,
				   const struct restorer_task *out)
{
	const TaskCoreEntry *tc = task->image->threads[0].core->tc;
	uint32_t signal = tc->has_stop_signo ? tc->stop_signo : 0;

	if ((signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU) || !tc->stopped_uncollected ||
	    tc->blk_sigset & 1ull << (signal - 1) || out->sigactions[signal - 1].handler ||
	    is_pending(tc->signals_s, signal) || !is_group_controlled(r, task))
		return SIGSTOP;
	return signal;
}

static int plan_ldt(struct restore *r, const TaskCoreEntry *tc, struct restorer_task *out, struct error *err)
{
	size_t count = tc->has_ldt ? ldt_descriptors(tc->ldt.data, tc->ldt.len, NULL) : 0;
	struct user_desc *entries;

	_Static_assert(sizeof(*entries) == RESTORER_USER_DESC_BYTES, "the kernel's layout");
	if (!count)
		return 0;
	entries = area_alloc(r, count * sizeof(*entries));
	if (!entries)
		return error_set(err, -ENOMEM, "segment descriptors");
	out->ldt_count = ldt_descriptors(tc->ldt.data, tc->ldt.len, entries);
	out->ldt = (void *)entries;
	return 0;
}

static void plan_switches(const struct restore *r, const struct restore_task *task, struct restorer_task *out)
{
	const TaskCoreEntry *tc = task->image->threads[0].core->tc;
	const MmEntry *mm = task->image->mm;

	protection_keys_plan(mm, out);
	out->personality = tc->personality;
	out->dumpable = mm->has_dumpable ? mm->dumpable : -1;
	out->thp_disable = mm->has_thp_disabled && mm->thp_disabled ? 1 : -1;
	/* Bit 0 is the switch itself. */
	out->thp_flags = tc->has_thp_disable_flags ? tc->thp_disable_flags & ~1u : 0;
	out->ksm = tc->has_ksm && tc->ksm ? 1 : -1;
	out->subreaper = tc->has_child_subreaper && tc->child_subreaper ? 1 : task->subreaper_meanwhile ? 0 : -1;
	out->lock_future = tc->has_lock_future ? tc->lock_future : 0;
	out->futex_hash = tc->has_futex_hash ? (int64_t)tc->futex_hash : -1;
	out->requested_components = tc->has_requested_components ? tc->requested_components : 0;
	out->mdwe = tc->has_mdwe ? tc->mdwe : 0;
	out->membarrier_commands = tc->has_membarrier_registration_mask ? tc->membarrier_registration_mask : 0;
	if (tc->task_state == 3)
		out->stop_signal = choose_stop_signal(r, task, out);
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

/* None left is the shortest there is: the call has to say itself that its time is over. */
static void plan_call(const struct user_regs_struct *regs, const RestartEntry *call, struct restorer_thread *out)
{
	if (!interrupted_call_goes_on(regs, call))
		return;
	out->call_number = call->nr;
	out->call_ns = call->remaining_ns ? call->remaining_ns : 1;
	out->call_time[0] = (int64_t)(out->call_ns / 1000000000);
	out->call_time[1] = (int64_t)(out->call_ns % 1000000000);
}

static bool waits_in_vfork(const struct restore_task *task, const struct checked_thread *thread)
{
	return task->vfork_child && thread == &task->image->threads[task->vfork_child->parent_thread];
}

static int plan_registers(struct restore *r, const struct checked_thread *thread, const struct restore_task *task,
			  struct restorer_thread *out, struct error *err)
{
	const ThreadInfoX86 *info = thread->core->thread_info;
	const ThreadCoreEntry *core = thread->core->thread_core;
	struct user_desc slots[RESTORER_TLS_SLOTS];
	struct user_regs_struct *regs = area_alloc(r, sizeof(*regs));
	int result;

	out->xstate_bytes = xstate_bytes();
	out->xstate = area_alloc_aligned(r, out->xstate_bytes, 64);
	if (!regs || !out->xstate)
		return error_set(err, -ENOMEM, "registers");
	out->regs = regs;
	result = regs_from_image(info->gpregs, regs, err);
	if (result < 0)
		return result;
	/* The image says how to go on; the kernel must not restart anything else by itself. It will be in a vfork. */
	if (!waits_in_vfork(task, thread))
		regs->orig_rax = ~0ull;
	out->own_flags = regs->eflags & RESTORER_OWN_FLAGS;
	plan_call(regs, core->syscall_restart, out);
	if (core->has_restart_code && !syscall_is_restart_code(regs, core->restart_code))
		return error_say(err, -EBADMSG, "its call cannot be made again with code %u", core->restart_code);
	out->restart_code = core->has_restart_code ? core->restart_code : 0;
	result = xstate_from_image(info->fpregs, out->xstate, err);
	if (result < 0)
		return result;
	out->xstate_components = xstate_self_components();
	out->xstate_outside = task->restorer->sets_keys || xstate_needs_tracer(out->xstate);
	out->key_rights = xstate_key_rights(out->xstate);
	if (info->n_debug_registers) {
		result = debug_registers_check(info->debug_registers, info->n_debug_registers, err);
		if (result < 0)
			return result;
		out->debug_registers = area_memdup(r, info->debug_registers, sizeof(uint64_t) * DEBUG_REGISTER_COUNT);
		if (!out->debug_registers)
			return error_set(err, -ENOMEM, "debug registers");
	}
	result = tls_from_image(info->tls, info->n_tls, slots, err);
	if (result < 0)
		return result;
	for (int i = 0; i < RESTORER_TLS_SLOTS; i++) {
		_Static_assert(sizeof(slots[0]) == RESTORER_USER_DESC_BYTES, "the kernel's layout");
		if (!tls_is_empty(&slots[i]))
			out->has_tls |= 1u << i;
		memcpy(out->tls[i], &slots[i], sizeof(slots[i]));
	}
	return 0;
}

static int plan_filters(struct restore *r, const ThreadCoreEntry *core, struct restorer_thread *out, struct error *err)
{
	const SeccompEntry *seccomp = r->images->seccomp;
	uint32_t count = 0;

	out->seccomp_mode = core->has_seccomp_mode ? (uint32_t)core->seccomp_mode : 0;
	if (!has_filters(core))
		return 0;
	for (uint32_t at = core->seccomp_filter;; at = seccomp->seccomp_filters[at]->prev) {
		count++;
		if (!seccomp->seccomp_filters[at]->has_prev)
			break;
	}
	out->filters = area_alloc(r, count * sizeof(*out->filters));
	if (!out->filters)
		return error_set(err, -ENOMEM, "seccomp filters");
	out->filter_count = count;
	for (uint32_t at = core->seccomp_filter; count-- > 0; at = seccomp->seccomp_filters[at]->prev) {
		const SeccompFilter *filter = seccomp->seccomp_filters[at];

		out->filters[count].instructions = area_memdup(r, filter->filter.data, filter->filter.len);
		out->filters[count].instruction_count = filter->filter.len / 8;
		out->filters[count].flags = filter->has_flags ? filter->flags : 0;
		if (!out->filters[count].instructions)
			return error_set(err, -ENOMEM, "seccomp filters");
	}
	return 0;
}

static int plan_user_dispatch(const UserDispatchEntry *entry, struct restorer_thread *out, struct error *err)
{
	if (!entry)
		return 0;
	/* As the kernel checks it, but while there is still a way back. */
	if (!is_user_address(entry->selector) || (entry->offset && entry->offset + entry->length <= entry->offset))
		return error_say(err, -EBADMSG, "syscall user dispatch with a byte or a range outside of user space");
	out->user_dispatch[0] = 1;
	out->user_dispatch[1] = entry->selector;
	out->user_dispatch[2] = entry->offset;
	out->user_dispatch[3] = entry->length;
	return 0;
}

/* Where nobody can ask, as in a container that forbids these calls, there is nothing but the default. */
static bool sets_request_keyring(const struct restore *r, const ThreadCoreEntry *core)
{
	const long own = r->own_limits->request_keyring < 0 ? KEY_REQKEY_DEFL_DEFAULT : r->own_limits->request_keyring;

	return core->has_request_keyring && (long)core->request_keyring != own;
}

static int plan_extensions(struct restore *r, const ThreadCoreEntry *core, struct restorer_thread *out,
			   struct error *err)
{
	out->birth_slack_ns =
	    core->has_default_timer_slack_ns ? core->default_timer_slack_ns : r->own_limits->timer_slack_ns;
	if (r->sets_slacks) {
		out->flags |= RESTORER_THREAD_SLACK;
		out->timer_slack_ns = core->has_timer_slack_ns ? core->timer_slack_ns : out->birth_slack_ns;
	}
	if (sets_request_keyring(r, core)) {
		out->flags |= RESTORER_THREAD_REQUEST;
		out->request_keyring = core->request_keyring;
	}
	if (core->has_io_flusher && core->io_flusher)
		out->flags |= RESTORER_THREAD_IO_FLUSHER;
	if (core->has_tsc_faults && core->tsc_faults)
		out->flags |= RESTORER_THREAD_NO_TSC;
	if (core->has_cpuid_faults && core->cpuid_faults)
		out->flags |= RESTORER_THREAD_NO_CPUID;
	out->port_level = core->has_io_privilege ? core->io_privilege : 0;
	if (core->has_mce_kill) {
		out->flags |= RESTORER_THREAD_MCE_KILL;
		out->mce_kill = core->mce_kill;
	}
	if (core->mempolicy) {
		const ProtobufCBinaryData *nodes = &core->mempolicy->nodemask;

		out->flags |= RESTORER_THREAD_MEMPOLICY;
		out->mempolicy_mode = (int32_t)core->mempolicy->mode;
		out->mempolicy_bits = (uint32_t)nodes->len * 8 + (nodes->len ? 1 : 0);
		out->mempolicy_nodes = area_alloc(r, nodes->len + 8);
		if (!out->mempolicy_nodes)
			return error_set(err, -ENOMEM, "memory policy");
		if (nodes->len)
			memcpy(out->mempolicy_nodes, nodes->data, nodes->len);
	}
	out->speculation = area_alloc(r, core->n_speculation * sizeof(*out->speculation));
	if (!out->speculation)
		return error_set(err, -ENOMEM, "speculation controls");
	for (size_t i = 0; i < core->n_speculation; i++) {
		out->speculation[i][0] = core->speculation[i]->which;
		out->speculation[i][1] = core->speculation[i]->value;
	}
	out->speculation_count = (uint32_t)core->n_speculation;
	return plan_user_dispatch(core->user_dispatch, out, err);
}

static void plan_addresses(const struct checked_thread *thread, struct restorer_thread *out)
{
	const ThreadCoreEntry *core = thread->core->thread_core;

	out->clear_tid = thread->core->thread_info ? thread->core->thread_info->clear_tid_addr : 0;
	out->robust_list = core->futex_rla;
	out->robust_list_bytes = core->futex_rla_len;
	/* What execve() leaves of a stack is the flag. */
	if (core->sas && (!(core->sas->ss_flags & SS_DISABLE) || core->sas->ss_flags & SAS_AUTODISARM)) {
		out->has_sas = 1;
		out->sas_address = core->sas->ss_sp;
		out->sas_bytes = core->sas->ss_size;
		/* Being on it is not a thing to ask for. */
		out->sas_flags = core->sas->ss_flags & ~(uint32_t)SS_ONSTACK;
	}
	if (core->rseq_entry && core->rseq_entry->rseq_abi_pointer) {
		out->rseq_address = core->rseq_entry->rseq_abi_pointer;
		out->rseq_bytes = core->rseq_entry->rseq_abi_size;
		out->rseq_signature = core->rseq_entry->signature;
		out->rseq_cs = core->rseq_entry->has_rseq_cs_pointer ? core->rseq_entry->rseq_cs_pointer : 0;
	}
	out->pdeath_signal = core->has_pdeath_sig ? core->pdeath_sig : 0;
}

static int plan_thread(struct restore *r, const struct own_creds *own, const struct restore_task *task, size_t index,
		       struct error *err)
{
	const struct checked_thread *thread = &task->image->threads[index];
	const ThreadCoreEntry *core = thread->core->thread_core;
	const TaskCoreEntry *tc = task->image->threads[0].core->tc;
	struct restorer_thread *out = &task->restorer->threads[index];
	const char *comm = core->comm ? core->comm : tc->comm;
	size_t stack_bytes = index ? RESTORER_THREAD_STACK_BYTES : RESTORER_LEADER_STACK_BYTES;
	char *stack = area_alloc(r, stack_bytes);
	int result;

	if (!stack)
		return error_set(err, -ENOMEM, "stack");
	out->tid = index ? (int32_t)thread->tid : task->pid;
	out->task = task->restorer;
	out->stack_top = (uint64_t)(stack + stack_bytes);
	(void)snprintf(out->comm, sizeof(out->comm), "%s", comm);
	out->signal_mask = index ? (core->has_blk_sigset ? core->blk_sigset : 0) : tc->blk_sigset;
	out->has_waiting_mask = core->has_waiting_sigset && tc->task_state == 3;
	out->waiting_mask = core->waiting_sigset;
	plan_addresses(thread, out);
	result = thread->core->thread_info ? plan_registers(r, thread, task, out, err) : 0;
	if (result == 0)
		result = plan_queue(r, task->restorer, core->signals_p, &out->pending, &out->pending_count, err);
	if (result == 0 && core->creds)
		result = restore_creds_plan(r, own, core->creds, &out->creds, err);
	if (result == 0)
		result = plan_filters(r, core, out, err);
	if (result == 0)
		result = plan_extensions(r, core, out, err);
	if (result < 0)
		error_prefix(err, "thread %d", out->tid);
	return result;
}

/* A filter may apply to all threads of its process, so all of them take part. */
static void mark_filtered(struct restore *r, struct restorer_task *out)
{
	bool filtered = false;

	for (size_t i = out->acting; i < out->thread_count; i++)
		filtered |= out->threads[i].seccomp_mode != 0;
	for (size_t i = out->acting; filtered && i < out->thread_count; i++) {
		out->threads[i].is_filtered = 1;
		r->shared->words.filtering++;
	}
}

/* Its end is told by the word that the kernel clears then. */
static void plan_end_of_leader(const TaskCoreEntry *tc, struct restorer_task *out)
{
	out->leader_exit_code = (int32_t)(tc->leader_exit_code >> 8);
	out->leader_is_there = 1;
	out->threads[0].clear_tid = (uint64_t)&out->leader_is_there;
}

int restore_process_plan(struct restore *r, const struct own_creds *own, struct restore_task *task, struct error *err)
{
	const TaskCoreEntry *tc = task->image->threads[0].core->tc;
	struct restorer_task *out = task->restorer;
	int result;

	out->thread_count = task->image->thread_count;
	out->acting = task->image->leader_has_ended;
	out->threads_left = (uint32_t)out->thread_count - out->acting - 1;
	out->threads = area_alloc(r, out->thread_count * sizeof(*out->threads));
	if (!out->threads)
		return error_set(err, -ENOMEM, "pid %d: threads", task->pid);
	plan_sigactions(tc, out);
	plan_switches(r, task, out);
	result = plan_ldt(r, tc, out, err);
	if (result == 0)
		result = plan_timers(r, tc, out, err);
	if (result == 0)
		result = plan_queue(r, out, tc->signals_s, &out->pending, &out->pending_count, err);
	for (size_t i = 0; result == 0 && i < out->thread_count; i++)
		result = plan_thread(r, own, task, i, err);
	if (out->acting)
		plan_end_of_leader(tc, out);
	if (result == 0)
		mark_filtered(r, out);
	if (result < 0)
		error_prefix(err, "pid %d (%s)", task->pid, tc->comm);
	return result;
}
