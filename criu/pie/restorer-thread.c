/*
 * Threads: each is started with its tid, sets what is its own (addresses, attributes, signals, filters, credentials)
 * and sleeps with its extended registers loaded until it is taken over from outside.
 */
#include "pie/restorer-thread.h"

#include <errno.h>
#include <asm/prctl.h>
#include <asm/signal.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include "pie/restorer-clone.h"
#include "pie/restorer-creds.h"
#include "pie/restorer-early.h"
#include "pie/restorer-keys.h"
#include "pie/restorer-report.h"
#include "pie/restorer-seccomp.h"
#include "pie/restorer-signals.h"
#include "pie/restorer-vfork.h"

#define ROBUST_LIST_BYTES      24 /* struct robust_list_head */
#define CALL_RSEQ              334
#define CALL_IO_URING_REGISTER 427
#define REGISTER_RING_FDS      20
#define SET_CPUID              0x1012
#define SET_IO_FLUSHER         57
#define SET_REQUEST_KEYRING    14 /* KEYCTL_SET_REQKEY_KEYRING */

#define POLICY_FIFO   1
#define RESET_ON_FORK 1

#define SPECULATION_SETTABLE 0x1u
#define SPECULATION_VALUES   0x1eu

/* Laid out as the kernel's stack_t. */
struct altstack_record {
	uint64_t address;
	uint32_t flags, reserved;
	uint64_t bytes;
};

static void set_addresses(struct restorer_thread *thread)
{
	struct altstack_record stack = { .address = thread->sas_address,
					 .flags = thread->sas_flags,
					 .bytes = thread->sas_bytes };

	/* That of another thread was told when it was created. */
	if (thread == thread->task->threads)
		(void)SYS1(__NR_set_tid_address, thread->clear_tid);
	/* The kernel walks it at the end of the thread: not one of ours. */
	if (thread == thread->task->threads && thread->task->acting)
		(void)SYS2(__NR_set_robust_list, 0, ROBUST_LIST_BYTES);
	if (thread->robust_list)
		check_thread(thread, STEP_ROBUST_LIST,
			     SYS2(__NR_set_robust_list, thread->robust_list, thread->robust_list_bytes),
			     thread->robust_list);
	if (thread->has_sas)
		check_thread(thread, STEP_SIGALTSTACK, SYS2(__NR_sigaltstack, &stack, 0), thread->sas_address);
}

static void set_speculation(struct restorer_thread *thread)
{
	for (uint32_t i = 0; i < thread->speculation_count; i++) {
		uint32_t which = thread->speculation[i][0], value = thread->speculation[i][1];

		if (value & SPECULATION_SETTABLE && value & SPECULATION_VALUES)
			check_thread(thread, STEP_SPECULATION,
				     SYS5(__NR_prctl, PR_SET_SPECULATION_CTRL, which, value & SPECULATION_VALUES, 0, 0),
				     which);
	}
}

void set_name(struct restorer_thread *thread)
{
	check_thread(thread, STEP_COMM, SYS2(__NR_prctl, PR_SET_NAME, thread->comm), 0);
}

/* Threads are born with the name of the first one. */
static int has_name_of_leader(const struct restorer_thread *thread)
{
	const char *leader = thread->task->threads[0].comm;

	for (uint32_t i = 0; i < sizeof(thread->comm); i++)
		if (thread->comm[i] != leader[i])
			return 0;
	return 1;
}

static void set_attributes(struct restorer_thread *thread)
{
	if (!has_name_of_leader(thread))
		set_name(thread);
	if (thread->flags & RESTORER_THREAD_SLACK)
		check_thread(thread, STEP_TIMER_SLACK, SYS2(__NR_prctl, PR_SET_TIMERSLACK, thread->timer_slack_ns),
			     thread->timer_slack_ns);
	if (thread->flags & RESTORER_THREAD_IO_FLUSHER)
		check_thread(thread, STEP_IO_FLUSHER, SYS5(__NR_prctl, SET_IO_FLUSHER, 1, 0, 0, 0), 0);
	if (thread->flags & RESTORER_THREAD_MCE_KILL)
		check_thread(thread, STEP_MCE_KILL,
			     SYS5(__NR_prctl, PR_MCE_KILL, PR_MCE_KILL_SET, thread->mce_kill, 0, 0), thread->mce_kill);
	if (thread->flags & RESTORER_THREAD_MEMPOLICY)
		check_thread(thread, STEP_MEMPOLICY,
			     SYS3(__NR_set_mempolicy, thread->mempolicy_mode,
				  thread->mempolicy_bits ? thread->mempolicy_nodes : 0, thread->mempolicy_bits),
			     (uint64_t)thread->mempolicy_mode);
	if (thread->flags & RESTORER_THREAD_NO_TSC)
		check_thread(thread, STEP_TSC, SYS2(__NR_prctl, PR_SET_TSC, PR_TSC_SIGSEGV), 0);
	if (thread->flags & RESTORER_THREAD_NO_CPUID)
		check_thread(thread, STEP_CPUID, SYS2(__NR_arch_prctl, SET_CPUID, 0), 0);
	if (thread->flags & RESTORER_THREAD_REQUEST)
		check_thread(thread, STEP_REQUEST_KEYRING,
			     SYS2(__NR_keyctl, SET_REQUEST_KEYRING, thread->request_keyring), thread->request_keyring);
	if (thread->port_level)
		check_thread(thread, STEP_IOPL, SYS1(__NR_iopl, thread->port_level), thread->port_level);
	set_speculation(thread);
}

/* Changing credentials takes the signal away, so it comes behind. */
static void set_pdeath_signal(struct restorer_thread *thread)
{
	if (thread->pdeath_signal)
		check_thread(thread, STEP_PDEATH_SIGNAL, SYS2(__NR_prctl, PR_SET_PDEATHSIG, thread->pdeath_signal),
			     thread->pdeath_signal);
}

static void register_rseq(struct restorer_thread *thread)
{
	if (thread->rseq_address)
		check_thread(thread, STEP_RSEQ,
			     SYS4(CALL_RSEQ, thread->rseq_address, thread->rseq_bytes, 0, thread->rseq_signature),
			     thread->rseq_address);
}

static void number_rings(struct restorer_thread *thread)
{
	for (struct restorer_ring_number *at = thread->ring_numbers; at; at = at->next) {
		long result = SYS4(CALL_IO_URING_REGISTER, at->fd, REGISTER_RING_FDS, at, 1);

		check_thread(thread, STEP_RING_NUMBER,
			     result == 1  ? 0
			     : result < 0 ? result
					  : -ERROR_EXIST,
			     at->number);
	}
}

void set_up_thread(struct restorer_thread *thread)
{
	open_keys(thread->task);
	set_addresses(thread);
	set_attributes(thread);
	queue_own_signals(thread);
	number_rings(thread);
	install_filters(thread);
	set_credentials(thread);
	set_pdeath_signal(thread);
	register_rseq(thread);
}

/* These bits stay as they are when the other registers are set from outside. The red zone is left alone. */
static void set_own_flags(const struct restorer_thread *thread)
{
	uint64_t flags;

	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\tpopq %0\n\tleaq 128(%%rsp), %%rsp"
			 : "=r"(flags)
			 :
			 : "memory");
	flags = (flags & ~RESTORER_OWN_FLAGS) | (thread->own_flags & RESTORER_OWN_FLAGS);
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushq %0\n\tpopfq\n\tleaq 128(%%rsp), %%rsp"
			 :
			 : "r"(flags)
			 : "memory", "cc");
}

/* None of it is used in here, and no system call touches it. */
static void load_extended_registers(const struct restorer_thread *thread)
{
	if (thread->xstate_bytes == RESTORER_LEGACY_XSTATE)
		__asm__ volatile("fxrstor64 (%0)" : : "r"(thread->xstate) : "memory");
	else
		__asm__ volatile("xrstor64 (%0)"
				 :
				 : "r"(thread->xstate), "a"((uint32_t)thread->xstate_components),
				   "d"((uint32_t)(thread->xstate_components >> 32))
				 : "memory");
}

void load_registers(const struct restorer_thread *thread)
{
	load_extended_registers(thread);
	set_own_flags(thread);
}

/* A filtered thread makes no call any more: when its tracer dies, filters come into force again. */
_Noreturn void sleep_until_taken(struct restorer_thread *thread)
{
	struct restorer_shared *shared = thread->task->shared;

	load_registers(thread);
	if (__atomic_sub_fetch(&shared->preparing, 1, __ATOMIC_ACQ_REL) == 0)
		report_progress(shared);
	if (thread->is_filtered)
		for (;;)
			__asm__ volatile("pause");
	for (;;)
		(void)SYS4(__NR_futex, &shared->hold, FUTEX_WAIT, 0, 0);
}

_Noreturn void run_thread(struct restorer_thread *thread)
{
	struct restorer_task *task = thread->task;
	const int is_acting = thread == &task->threads[task->acting];

	if (is_acting)
		wait_while(&task->leader_is_there, 1);
	set_up_thread(thread);
	if (is_acting)
		finish_task(task);
	if (__atomic_sub_fetch(&task->threads_left, 1, __ATOMIC_ACQ_REL) == 0)
		wake(&task->threads_left, 1);
	if (is_to_wait_in_vfork(thread))
		wait_in_vfork(thread);
	set_strict_mode(thread);
	sleep_until_taken(thread);
}

static uint64_t signals_of(const struct restorer_siginfo *pending, uint64_t count)
{
	uint64_t set = 0;

	for (uint64_t i = 0; i < count; i++)
		set |= 1ull << (*(const int32_t *)(const void *)pending[i].bytes - 1);
	return set;
}

/* It can be seen which signals it had blocked. What is pending already must not be taken by it. */
_Noreturn void end_leader(struct restorer_task *task)
{
	const uint64_t mask = task->threads[0].signal_mask | signals_of(task->pending, task->pending_count);

	(void)SYS4(__NR_rt_sigprocmask, SIG_SETMASK, &mask, 0, sizeof(mask));
	for (;;)
		(void)SYS1(__NR_exit, task->leader_exit_code);
}

/* Laid out as the kernel's struct sched_attr of its first version. */
struct policy_record {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

/*
 * A thread's default slack is what its creator has at its birth. None is what real-time threads have: for that we are
 * one, and what we create is not. See task/timer-slack.h.
 */
static void have_slack(struct restorer_task *task, const struct policy_record *own, uint64_t slack)
{
	const struct policy_record real_time = {
		.size = sizeof(real_time), .policy = POLICY_FIFO, .flags = RESET_ON_FORK, .priority = 1
	};
	const uint64_t now = (uint64_t)SYS5(__NR_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);

	if (now == slack)
		return;
	enter(task, STEP_TIMER_SLACK);
	if (!now || !slack)
		check(task, SYS3(__NR_sched_setattr, 0, slack ? own : &real_time, 0), slack);
	if (slack)
		check(task, SYS2(__NR_prctl, PR_SET_TIMERSLACK, slack), slack);
}

/*
 * Its own policy comes from outside when all are ready. Until then a first thread that waits for that without a call
 * would keep a processor from those that are not ready yet. Its slack is set with the other attributes.
 */
static void leave_real_time(struct restorer_task *task, const struct policy_record *own)
{
	if (SYS5(__NR_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0))
		return;
	enter(task, STEP_TIMER_SLACK);
	check(task, SYS3(__NR_sched_setattr, 0, own, 0), 0);
}

/* A number is free a little later than its last holder is gone. */
#define CREATION_ATTEMPTS 2000

static void start_thread(struct restorer_task *task, struct restorer_thread *thread)
{
	const struct clone_record record = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			 (thread->clear_tid ? CLONE_CHILD_CLEARTID : 0),
		.child_tid = thread->clear_tid,
		.stack = thread->stack_top - RESTORER_THREAD_STACK_BYTES,
		.stack_bytes = RESTORER_THREAD_STACK_BYTES,
		.set_tid = (uint64_t)&thread->tid,
		.set_tid_count = 1,
	};

	const int64_t pause[2] = { 0, 1000000 };
	long r;

	enter(task, STEP_THREAD);
	for (int attempt = 1;; attempt++) {
		r = CLONE_INTO(&record, run_thread, thread);
		if (r != -EEXIST || attempt == CREATION_ATTEMPTS)
			break;
		(void)SYS2(__NR_nanosleep, pause, 0);
	}
	check(task, r, (uint64_t)thread->tid);
}

void start_threads(struct restorer_task *task)
{
	struct policy_record own = { .size = sizeof(own) };
	const uint32_t sets_slacks = task->threads[0].flags & RESTORER_THREAD_SLACK;

	if (sets_slacks) {
		enter(task, STEP_TIMER_SLACK);
		check(task, SYS4(__NR_sched_getattr, 0, &own, sizeof(own), 0), 0);
		own.runtime = 0; /* a slice that nobody asked for */
	}
	enter(task, STEP_THREAD);
	for (uint64_t i = 1; i <= task->early_count; i++)
		take_up_early_thread(&task->threads[i]);
	for (uint64_t i = task->early_count + 1; i < task->thread_count; i++) {
		if (sets_slacks)
			have_slack(task, &own, task->threads[i].birth_slack_ns);
		start_thread(task, &task->threads[i]);
	}
	if (sets_slacks && task->thread_count > 1)
		leave_real_time(task, &own);
}

void wait_for_threads(struct restorer_task *task)
{
	uint32_t left;

	while ((left = __atomic_load_n(&task->threads_left, __ATOMIC_ACQUIRE)) != 0)
		wait_while(&task->threads_left, left);
}
