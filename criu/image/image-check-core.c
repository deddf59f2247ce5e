/*
 * One core image: registers that belong to a program (a restore must not be talked into kernel segments or flags),
 * arrays of the sizes the kernel's structures have, numbers within the limits of the calls they will be handed to.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch/x86/xstate.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-check-private.h"
#include "image/vma-status.h"

#define COMM_MAX      15
#define SIGACTIONS    62 /* 64 signals without SIGKILL and SIGSTOP */
#define SIGINFO_BYTES 128
#define RLIMITS       16

/* Clocks that can be read and have no timers. */
#define NO_TIMER_CLOCKS                                                                                                \
	(1u << CLOCK_MONOTONIC_RAW | 1u << CLOCK_REALTIME_COARSE | 1u << CLOCK_MONOTONIC_COARSE | 1u << CLOCK_SGI_CYCLE)
#define CLOCK_SGI_CYCLE 10

/* What a program can have in rflags: arithmetic flags, TF, IF, DF, NT, RF, AC, ID. Not IOPL, VM, VIF, VIP. */
#define RFLAGS_USER 0x254fd7ull
#define MXCSR_KNOWN 0x2ffffu

static const char *const march_names[] = {
	[CORE_ENTRY__MARCH__UNKNOWN] = "unknown", [CORE_ENTRY__MARCH__X86_64] = "x86_64",
	[CORE_ENTRY__MARCH__ARM] = "arm",         [CORE_ENTRY__MARCH__AARCH64] = "aarch64",
	[CORE_ENTRY__MARCH__PPC64] = "ppc64",     [CORE_ENTRY__MARCH__S390] = "s390",
	[CORE_ENTRY__MARCH__MIPS] = "mips",       [CORE_ENTRY__MARCH__LOONGARCH64] = "loongarch64",
	[CORE_ENTRY__MARCH__RISCV64] = "riscv64",
};

static int check_march(const CoreEntry *core, const struct check_place *at)
{
	unsigned int march = (unsigned int)core->mtype;

	if (march == CORE_ENTRY__MARCH__X86_64)
		return 0;
	if (march >= ARRAY_SIZE(march_names))
		return check_bad(at, "processor architecture %u is not known", march);
	return error_say(at->err, -EINVAL, "core-%" PRIu64 ".img: dumped on another architecture (%s)", at->id,
			 march_names[march]);
}

/* Null, or a selector of user privilege. */
static bool is_user_selector(uint64_t selector)
{
	return selector == 0 || (selector <= UINT16_MAX && (selector & 3) == 3);
}

static int check_segments(const UserX86RegsEntry *regs, const struct check_place *at)
{
	if (regs->cs != 0x33 && regs->cs != 0x23)
		return check_bad(at, "cs 0x%" PRIx64 " is no code segment of a program", regs->cs);
	if (regs->ss != 0x2b)
		return check_bad(at, "ss 0x%" PRIx64 " is no stack segment of a program", regs->ss);
	if (!is_user_selector(regs->ds) || !is_user_selector(regs->es) || !is_user_selector(regs->fs) ||
	    !is_user_selector(regs->gs))
		return check_bad(at, "a segment register is not one of a program");
	if (regs->fs_base >= VMA_TASK_SIZE || regs->gs_base >= VMA_TASK_SIZE)
		return check_bad(at, "fs base 0x%" PRIx64 " or gs base 0x%" PRIx64 " is out of range", regs->fs_base,
				 regs->gs_base);
	return 0;
}

/* The stack pointer can have any value: who does not use it may count with it. */
static int check_registers(const UserX86RegsEntry *regs, const struct check_place *at)
{
	if (regs->has_mode && regs->mode != USER_X86_REGS_MODE__NATIVE && regs->mode != USER_X86_REGS_MODE__COMPAT)
		return check_bad(at, "register mode %d is not known", regs->mode);
	if (regs->has_mode && regs->mode == USER_X86_REGS_MODE__COMPAT && regs->cs != 0x23)
		return check_bad(at, "a 32-bit thread with cs 0x%" PRIx64, regs->cs);
	if (regs->flags & ~RFLAGS_USER)
		return check_bad(at, "flags 0x%" PRIx64 " are not those of a program", regs->flags);
	if (regs->ip >= VMA_TASK_SIZE)
		return check_bad(at, "instruction pointer 0x%" PRIx64 " is out of range", regs->ip);
	return check_segments(regs, at);
}

static int check_xsave(const UserX86XsaveEntry *x, const struct check_place *at)
{
	/* Parts of the XSAVE area: the bit in xstate_bv, words there are and words there must be. */
	const struct {
		unsigned int bit;
		size_t have, want;
	} parts[] = {
		{ 2, x->n_ymmh_space, 64 }, { 3, x->n_bndreg_state, 8 }, { 4, x->n_bndcsr_state, 8 },
		{ 5, x->n_opmask_reg, 8 },  { 6, x->n_zmm_upper, 64 },   { 7, x->n_hi16_zmm, 128 },
		{ 9, x->n_pkru, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (parts[i].have != 0 && parts[i].have != parts[i].want)
			return check_bad(at, "component %u of the vector registers has %zu words, not %zu",
					 parts[i].bit, parts[i].have, parts[i].want);
		if (parts[i].have == 0 && x->xstate_bv & 1ull << parts[i].bit)
			return check_bad(at, "component %u of the vector registers is missing", parts[i].bit);
	}
	if (x->cet && x->cet->ssp >= VMA_TASK_SIZE)
		return check_bad(at, "shadow stack pointer 0x%" PRIx64 " is out of range", x->cet->ssp);
	return 0;
}

static int check_fpregs(const UserX86FpregsEntry *fp, const struct check_place *at)
{
	if (fp->n_st_space != 32 || fp->n_xmm_space != 64)
		return check_bad(at, "the floating point registers are incomplete");
	if (fp->mxcsr & ~MXCSR_KNOWN)
		return check_bad(at, "mxcsr 0x%x has reserved bits set", fp->mxcsr);
	if (fp->cwd > UINT16_MAX || fp->swd > UINT16_MAX || fp->twd > UINT16_MAX || fp->fop > UINT16_MAX)
		return check_bad(at, "a control word of the floating point unit is out of range");
	return fp->xsave ? check_xsave(fp->xsave, at) : 0;
}

static int check_thread_info(const ThreadInfoX86 *ti, const struct check_place *at)
{
	int r = check_registers(ti->gpregs, at);

	if (r == 0)
		r = check_fpregs(ti->fpregs, at);
	if (r == 0 && ti->n_tls > 3)
		return check_bad(at, "%zu TLS segments", ti->n_tls);
	for (size_t i = 0; i < ti->n_tls && r == 0; i++) {
		if (ti->tls[i]->entry_number < 12 || ti->tls[i]->entry_number > 14)
			return check_bad(at, "TLS segment %u does not exist", ti->tls[i]->entry_number);
	}
	return r;
}

static int check_signals(const SignalQueueEntry *queue, const struct check_place *at)
{
	for (size_t i = 0; queue && i < queue->n_signals; i++) {
		const ProtobufCBinaryData *blob = &queue->signals[i]->siginfo;
		int32_t signo;

		if (blob->len != SIGINFO_BYTES)
			return check_bad(at, "a pending signal of %zu bytes", blob->len);
		memcpy(&signo, blob->data, sizeof(signo));
		if (signo < 1 || signo > (int32_t)CHECK_SIGNAL_MAX)
			return check_bad(at, "pending signal %d does not exist", signo);
	}
	return 0;
}

static bool is_capability_set(size_t words, bool may_be_absent)
{
	return words == 2 || (words == 0 && may_be_absent);
}

static bool has_id_of_nobody(const CredsEntry *creds)
{
	const uint32_t ids[] = { creds->uid, creds->euid, creds->suid, creds->fsuid,
				 creds->gid, creds->egid, creds->sgid, creds->fsgid };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (ids[i] == UINT32_MAX)
			return true;
	for (size_t i = 0; i < creds->n_groups; i++)
		if (creds->groups[i] == UINT32_MAX)
			return true;
	return false;
}

static int check_creds(const CredsEntry *creds, const struct check_place *at)
{
	/* The kernel would take it for "as it is". */
	if (has_id_of_nobody(creds))
		return check_bad(at, "4294967295 is the id of nobody");
	if (!is_capability_set(creds->n_cap_inh, false) || !is_capability_set(creds->n_cap_prm, false) ||
	    !is_capability_set(creds->n_cap_eff, false) || !is_capability_set(creds->n_cap_bnd, false) ||
	    !is_capability_set(creds->n_cap_amb, true))
		return check_bad(at, "a capability set has not two words");
	if (creds->n_groups > CHECK_GROUPS_MAX)
		return check_bad(at, "%zu supplementary groups", creds->n_groups);
	return 0;
}

static int check_thread_seccomp(const struct checked_set *cs, const ThreadCoreEntry *tc, const struct check_place *at)
{
	size_t filters = cs->seccomp ? cs->seccomp->n_seccomp_filters : 0;

	if (!tc->has_seccomp_mode || tc->seccomp_mode == SECCOMP_MODE__disabled ||
	    tc->seccomp_mode == SECCOMP_MODE__strict)
		return 0;
	if (tc->seccomp_mode != SECCOMP_MODE__filter)
		return check_bad(at, "seccomp mode %d is not known", tc->seccomp_mode);
	if (!tc->has_seccomp_filter)
		return check_bad(at, "seccomp mode filter without a filter");
	if (tc->seccomp_filter >= filters)
		return check_bad(at, "seccomp filter %u of %zu", tc->seccomp_filter, filters);
	return 0;
}

static bool is_policy(uint32_t policy)
{
	return policy <= 3 || (policy >= 5 && policy <= 7);
}

static int check_scheduling(const ThreadCoreEntry *tc, const struct check_place *at)
{
	if (tc->has_sched_policy && !is_policy(tc->sched_policy))
		return check_bad(at, "scheduling policy %u is not known", tc->sched_policy);
	if (tc->has_io_privilege && tc->io_privilege > 3)
		return check_bad(at, "I/O privilege level %u does not exist", tc->io_privilege);
	if (tc->has_sched_prio && tc->sched_prio > 99)
		return check_bad(at, "scheduling priority %u is out of range", tc->sched_prio);
	if (tc->has_sched_nice && (tc->sched_nice < -20 || tc->sched_nice > 19))
		return check_bad(at, "nice value %d is out of range", tc->sched_nice);
	if (tc->has_cpu_affinity && (tc->cpu_affinity.len == 0 || tc->cpu_affinity.len > 8192))
		return check_bad(at, "a processor mask of %zu bytes", tc->cpu_affinity.len);
	if (tc->n_speculation > 32)
		return check_bad(at, "%zu speculation controls", tc->n_speculation);
	if (tc->mempolicy && !is_numa_mode(tc->mempolicy->mode))
		return check_bad(at, "the memory policy 0x%x is not known", tc->mempolicy->mode);
	if (tc->mempolicy && tc->mempolicy->has_nodemask && tc->mempolicy->nodemask.len > 4096)
		return check_bad(at, "a node mask of %zu bytes", tc->mempolicy->nodemask.len);
	return 0;
}

static int check_rseq(const RseqEntry *rseq, const struct check_place *at)
{
	if (!rseq || rseq->rseq_abi_pointer == 0)
		return 0;
	if (rseq->rseq_abi_pointer >= VMA_TASK_SIZE || rseq->rseq_abi_size < 32 || rseq->rseq_abi_size > 4096)
		return check_bad(at, "an rseq area of %u bytes at 0x%" PRIx64, rseq->rseq_abi_size,
				 rseq->rseq_abi_pointer);
	return 0;
}

static int check_thread_core(const struct checked_set *cs, const ThreadCoreEntry *tc, const struct check_place *at)
{
	int r;

	if (tc->comm && strlen(tc->comm) > COMM_MAX)
		return check_bad(at, "the name of the thread is too long");
	if (tc->has_pdeath_sig && tc->pdeath_sig > CHECK_SIGNAL_MAX)
		return check_bad(at, "signal %u does not exist", tc->pdeath_sig);
	/* SS_ONSTACK, SS_DISABLE and SS_AUTODISARM */
	if (tc->sas && tc->sas->ss_flags & ~0x80000003u)
		return check_bad(at, "unknown flags 0x%x of the alternate signal stack", tc->sas->ss_flags);
	r = check_scheduling(tc, at);
	if (r == 0)
		r = check_signals(tc->signals_p, at);
	if (r == 0 && tc->creds)
		r = check_creds(tc->creds, at);
	if (r == 0)
		r = check_thread_seccomp(cs, tc, at);
	if (r == 0)
		r = check_rseq(tc->rseq_entry, at);
	return r;
}

static bool is_itimer(const ItimerEntry *t)
{
	return t->iusec < CHECK_US_PER_SECOND && t->vusec < CHECK_US_PER_SECOND && t->isec <= INT64_MAX &&
	       t->vsec <= INT64_MAX;
}

static bool has_thread(const struct checked_task *task, int32_t tid)
{
	for (size_t i = 0; i < task->entry->n_threads; i++) {
		if (task->entry->threads[i] == (uint32_t)tid)
			return true;
	}
	return false;
}

/* A negative one is the time of a process or thread in one of three ways. */
static bool is_timer_clock(int32_t clock)
{
	if (clock < 0)
		return (clock & 3) != 3;
	return clock <= CLOCK_TAI && !(NO_TIMER_CLOCKS & 1u << clock);
}

static bool is_notification(const PosixTimerEntry *t)
{
	if (t->it_sigev_notify == SIGEV_THREAD_ID)
		return t->has_notify_thread_id;
	return t->it_sigev_notify == SIGEV_SIGNAL || t->it_sigev_notify == SIGEV_NONE ||
	       t->it_sigev_notify == SIGEV_THREAD;
}

static int check_posix_timer(const struct checked_task *task, const PosixTimerEntry *t, const struct check_place *at)
{
	if (t->it_id > INT_MAX)
		return check_bad(at, "timer id %u is out of range", t->it_id);
	if (!is_timer_clock((int32_t)t->clock_id))
		return check_bad(at, "timer %u: no timer has clock %d", t->it_id, (int32_t)t->clock_id);
	if (!is_notification(t))
		return check_bad(at, "timer %u: notification %u is not known", t->it_id, t->it_sigev_notify);
	/* without a notification the kernel takes any number */
	if (t->it_sigev_notify != SIGEV_NONE && (t->si_signo == 0 || t->si_signo > CHECK_SIGNAL_MAX))
		return check_bad(at, "timer %u: signal %u does not exist", t->it_id, t->si_signo);
	if (t->insec >= NS_PER_SEC || t->vnsec >= NS_PER_SEC || t->isec > INT64_MAX || t->vsec > INT64_MAX)
		return check_bad(at, "timer %u: a time is out of range", t->it_id);
	if (t->has_wall_ns && (t->wall_ns > INT64_MAX || t->clock_id != CLOCK_REALTIME))
		return check_bad(at, "timer %u: a time of the wall clock that it cannot have", t->it_id);
	if (t->has_missed && t->missed > INT_MAX)
		return check_bad(at, "timer %u: %" PRIu64 " missed expiries", t->it_id, t->missed);
	if (t->has_notify_thread_id && !has_thread(task, t->notify_thread_id))
		return check_bad(at, "timer %u: thread %d is not one of the process", t->it_id, t->notify_thread_id);
	return 0;
}

static int check_timers(const struct checked_task *task, const TaskTimersEntry *timers, const struct check_place *at)
{
	AUTO_FREE uint32_t *ids = calloc(timers->n_posix + 1, sizeof(*ids));
	uint32_t id;
	int r = 0;

	if (!ids)
		return error_set(at->err, -ENOMEM, "check timers");
	if (!is_itimer(timers->real) || !is_itimer(timers->virt) || !is_itimer(timers->prof))
		return check_bad(at, "an interval timer is out of range");
	for (size_t i = 0; i < timers->n_posix && r == 0; i++) {
		ids[i] = timers->posix[i]->it_id;
		r = check_posix_timer(task, timers->posix[i], at);
	}
	if (r == 0 && find_duplicate(ids, timers->n_posix, &id))
		return check_bad(at, "timer %u is there twice", id);
	return r;
}

static int check_rlimits(const TaskRlimitsEntry *rlimits, const struct check_place *at)
{
	if (rlimits->n_rlimits != RLIMITS)
		return check_bad(at, "%zu resource limits, not %d", rlimits->n_rlimits, RLIMITS);
	for (size_t i = 0; i < rlimits->n_rlimits; i++) {
		if (rlimits->rlimits[i]->cur > rlimits->rlimits[i]->max)
			return check_bad(at, "resource limit %zu is above its maximum", i);
	}
	return 0;
}

/* A wait status of a process that is gone: an exit code, or the signal that ended it, perhaps with a core dump. */
static bool is_exit_status(uint32_t status)
{
	uint32_t signal = status & 0x7f;

	return status <= 0xffff && (signal == 0 ? !(status & 0x80) : signal <= CHECK_SIGNAL_MAX && status <= 0xff);
}

#define SECCOMP_FILTERS_MOST 8192 /* as one instruction each: the kernel has no room for more */

static int check_ended(const EndedEntry *ended, const struct check_place *at)
{
	int r;

	if (ended->seccomp_mode > 3 || ended->seccomp_filters > SECCOMP_FILTERS_MOST)
		return check_bad(at, "seccomp mode %u with %u filters", ended->seccomp_mode, ended->seccomp_filters);
	if (ended->oom_score_adj < -1000 || ended->oom_score_adj > 1000)
		return check_bad(at, "oom_score_adj %d is out of range", ended->oom_score_adj);
	r = check_rlimits(ended->rlimits, at);
	return r < 0 ? r : check_scheduling(ended->scheduling, at);
}

static int check_zombie(const CoreEntry *core, const struct check_place *at)
{
	int r;

	if (core->thread_info || core->thread_core)
		return check_bad(at, "a zombie with registers or thread state");
	if (strlen(core->tc->comm) > COMM_MAX)
		return check_bad(at, "the name of the process is too long");
	if (!is_exit_status(core->tc->exit_code))
		return check_bad(at, "0x%x is no exit status", core->tc->exit_code);
	if (core->tc->has_ended_nice && (core->tc->ended_nice < -20 || core->tc->ended_nice > 19))
		return check_bad(at, "nice value %d is out of range", core->tc->ended_nice);
	r = core->tc->ended ? check_ended(core->tc->ended, at) : 0;
	if (r < 0)
		return r;
	return core->tc->ended_creds ? check_creds(core->tc->ended_creds, at) : 0;
}

#define KEY_TEXT_MOST 4095 /* of what a key is described by */

static bool is_key_text(const char *text)
{
	return text[0] && strlen(text) <= KEY_TEXT_MOST;
}

static int check_keyring(const KeyringEntry *entry, const struct check_place *at)
{
	const KeyringContents *contents = entry ? entry->contents : NULL;

	if (entry && entry->serial > INT32_MAX)
		return check_bad(at, "keyring number %u is out of range", entry->serial);
	if (!contents)
		return 0;
	if (!entry->serial || !is_key_text(contents->description))
		return check_bad(at, "a keyring has no number or no name");
	for (size_t i = 0; i < contents->n_keys; i++) {
		const KeyEntry *key = contents->keys[i];

		if (!is_key_text(key->type) || !is_key_text(key->description))
			return check_bad(at, "a key of keyring \"%s\" has no type or no name", contents->description);
		if (!contents->unsaved && !key->has_payload && strcmp(key->type, "keyring") != 0)
			return check_bad(at, "key \"%s\" of keyring \"%s\" is empty", key->description,
					 contents->description);
	}
	return 0;
}

static int check_task_core(const struct checked_task *task, const TaskCoreEntry *tc, const struct check_place *at)
{
	int r;

	if (tc->task_state != 1 && tc->task_state != 3)
		return check_bad(at, "task state %u is not known", tc->task_state);
	/* A thread that ends alone has called exit(2). */
	if (task->leader_has_ended && tc->leader_exit_code & ~0xff00u)
		return check_bad(at, "0x%x is no exit code", tc->leader_exit_code);
	if (strlen(tc->comm) > COMM_MAX)
		return check_bad(at, "the name of the process is too long");
	if (tc->has_stop_signo && tc->stop_signo > CHECK_SIGNAL_MAX)
		return check_bad(at, "signal %u does not exist", tc->stop_signo);
	if (tc->has_exit_signal && tc->exit_signal > CHECK_SIGNAL_MAX)
		return check_bad(at, "signal %u does not exist", tc->exit_signal);
	if (tc->has_oom_score_adj && (tc->oom_score_adj < -1000 || tc->oom_score_adj > 1000))
		return check_bad(at, "oom_score_adj %d is out of range", tc->oom_score_adj);
	if (tc->has_oom_score_adj_min && (tc->oom_score_adj_min < -1000 || tc->oom_score_adj_min > tc->oom_score_adj))
		return check_bad(at, "oom_score_adj_min %d is out of range", tc->oom_score_adj_min);
	if (tc->has_next_timer_id && tc->next_timer_id > INT_MAX)
		return check_bad(at, "timer id %u is out of range", tc->next_timer_id);
	if (tc->has_requested_components &&
	    tc->requested_components != xstate_requested_components(tc->requested_components))
		return check_bad(at, "processor state 0x%" PRIx64 " is not for asking", tc->requested_components);
	if (tc->n_sigactions != SIGACTIONS)
		return check_bad(at, "%zu signal handlers, not %d", tc->n_sigactions, SIGACTIONS);
	if (!tc->timers || !tc->rlimits)
		return check_bad(at, "timers or resource limits are missing");
	r = check_timers(task, tc->timers, at);
	if (r == 0)
		r = check_keyring(tc->session_keyring, at);
	if (r == 0)
		r = check_keyring(tc->process_keyring, at);
	if (r == 0)
		r = check_rlimits(tc->rlimits, at);
	return r < 0 ? r : check_signals(tc->signals_s, at);
}

static int check_leader(const struct checked_task *task, const CoreEntry *core, const struct check_place *at)
{
	if (!core->tc)
		return check_bad(at, "the state of the process is missing");
	if (!core->thread_core || !core->thread_core->creds)
		return check_bad(at, "the credentials of the leader are missing");
	return check_task_core(task, core->tc, at);
}

int check_core(struct checked_set *cs, struct checked_task *task, size_t thread, const struct check_place *at)
{
	const CoreEntry *core = task->threads[thread].core;
	int r = check_march(core, at);

	if (r < 0)
		return r;
	if (task->is_zombie)
		return check_zombie(core, at);
	if (thread == 0)
		r = check_leader(task, core, at);
	if (r < 0)
		return r;
	if (thread == 0 && task->leader_has_ended) {
		if (core->thread_info)
			return check_bad(at, "registers of a thread that has ended");
		return check_thread_core(cs, core->thread_core, at);
	}
	if (!core->thread_info || !core->thread_core)
		return check_bad(at, "registers or thread state are missing");
	r = check_thread_info(core->thread_info, at);
	return r < 0 ? r : check_thread_core(cs, core->thread_core, at);
}
