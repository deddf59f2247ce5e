/*
 * The parasite: asks the kernel, from inside a task, what only the task itself can ask; it changes nothing there. Every
 * thread enters at pie_entry with its struct parasite_thread in rdi; the leader answers for the process as well. When
 * done it sleeps until its tracer, or the rescuer, gives the thread its own registers back.
 */
#include "pie/parasite-border.h"

#include <asm/unistd.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <linux/prctl.h>

#include "pie/syscall.h"

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif
#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif

#define FUTEX_HASH                   78 /* PR_FUTEX_HASH, since 6.16 */
#define FUTEX_HASH_GET_SLOTS         2
#define MEMBARRIER_GET_REGISTRATIONS (1 << 9)
#define GET_CPUID                    0x1011
#define GET_XCOMP_PERM               0x1022
#define GET_UNTAG_MASK               0x4001
#define FCNTL_GETFD                  1
#define WAIT_FOR_ALL                 0                                     /* P_ALL */
#define WAIT_FOR_PID                 1                                     /* P_PID */
#define WAIT_CONTINUED               (0x8 | 0x1 | 0x01000000 | 0x40000000) /* WCONTINUED WNOHANG WNOWAIT __WALL */
#define TIMER_TRIES                  8                                     /* some expire all the time */
#define MADVISE_COLD                 20                                    /* since 5.4 */
#define PAGE_BYTES                   4096
#define PROTECTION_KEYS              16
#define BEYOND_ALL_MAPPINGS          0x00fffffffffff000ull

#define CALL_IO_URING_ENTER 426
#define ENTER_BY_NUMBER     (1ul << 4)
#define RING_NUMBERS        16
#define PORT_LEVELS         3
#define ERROR_BADF          9
#define ERROR_NOMEM         12
#define ERROR_INVAL         22
#define ERROR_NOSYS         38

struct kernel_stack {
	uint64_t sp;
	int32_t flags;
	uint32_t padding;
	uint64_t bytes;
};

static void ask_signal_stack(struct parasite_thread *self)
{
	struct kernel_stack stack = { 0 };

	/* While the thread runs on the alternate stack the kernel sees that by the stack pointer, which is ours now. */
	(void)SYS2(__NR_sigaltstack, 0, &stack);
	self->sas_address = stack.sp;
	self->sas_bytes = stack.bytes;
	self->sas_flags = (uint32_t)stack.flags;
}

/* Landlock denies a task in a domain what ptrace would need, kcmp for example, to any task outside of it. */
static void probe_confinement(struct parasite_thread *self)
{
	long result = SYS5(__NR_kcmp, SYS0(__NR_gettid), self->probe_pid, KCMP_VM, 0, 0);

	self->probe_result = result < 0 ? (int32_t)result : 0;
}

static const char keyring_type[] = "keyring";

static int finds_users_session(struct parasite_thread *self)
{
	self->users_session = SYS4(__NR_request_key, keyring_type, self->user_session, 0, 0);
	return self->users_session > 0;
}

/*
 * Asking for the session keyring gives one to a task that has none, so first it is tried to find the user's, which is
 * used then: that changes nothing. It is made, for all processes of the user, when the first one asks for it. One that
 * was made without a name may have a link to it.
 */
static int64_t ask_session_keyring(struct parasite_thread *self)
{
	static const char unnamed[] = "_ses";

	if (SYS4(__NR_request_key, keyring_type, unnamed, 0, 0) < 0) {
		if (finds_users_session(self))
			return 0;
		(void)SYS3(__NR_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0);
		if (finds_users_session(self))
			return 0;
	}
	return SYS3(__NR_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
}

static void ask_keyrings(struct parasite_thread *self)
{
	int64_t named;

	self->thread_keyring = SYS3(__NR_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0);
	self->process_keyring = SYS3(__NR_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0);
	self->session_keyring = ask_session_keyring(self);
	self->request_keyring = SYS2(__NR_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE);
	named = self->thread_keyring > 0    ? self->thread_keyring
		: self->process_keyring > 0 ? self->process_keyring
					    : self->session_keyring;
	if (named > 0)
		(void)SYS4(__NR_keyctl, KEYCTL_DESCRIBE, named, self->keyring_name, PARASITE_KEYRING_BYTES - 1);
}

static int64_t ask_tsc(void)
{
	int32_t mode = 0;
	long result = SYS2(__NR_prctl, PR_GET_TSC, &mode);

	return result < 0 ? result : mode;
}

/*
 * A thread may know io_urings by numbers of its own, without descriptors. The request is one that changes nothing: it
 * submits nothing and waits for nothing.
 */
static void ask_ring_numbers(struct parasite_thread *self)
{
	for (uint32_t i = 0; i < RING_NUMBERS; i++) {
		long result = SYS6(CALL_IO_URING_ENTER, i, 0, 0, ENTER_BY_NUMBER, 0, 0);

		if (result == -ERROR_INVAL || result == -ERROR_NOSYS)
			return; /* it has never used one, or the kernel has no such numbers */
		if (result != -ERROR_BADF)
			self->ring_numbers |= 1u << i;
	}
}

/* A level that is higher than the own one is refused, and the own one changes nothing: the highest is tried first. */
static void ask_port_level(struct parasite_thread *self)
{
	long result = -1;

	for (int64_t level = PORT_LEVELS; self->asks_port_level && level > 0 && result < 0; level--) {
		result = SYS1(__NR_iopl, level);
		self->port_level = result < 0 ? result : level;
	}
}

static void ask_thread(struct parasite_thread *self)
{
	ask_port_level(self);
	self->clear_tid_result = SYS2(__NR_prctl, PR_GET_TID_ADDRESS, &self->clear_tid_address);
	ask_signal_stack(self);
	(void)SYS2(__NR_prctl, PR_GET_PDEATHSIG, &self->pdeath_signal);
	self->personality = SYS1(__NR_personality, 0xffffffff);
	self->securebits = SYS1(__NR_prctl, PR_GET_SECUREBITS);
	self->no_new_privs = SYS5(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	self->io_flusher = SYS5(__NR_prctl, PR_GET_IO_FLUSHER, 0, 0, 0, 0);
	probe_confinement(self);
	self->timer_slack_ns = SYS5(__NR_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
	ask_keyrings(self);
	self->tsc_mode = ask_tsc();
	self->cpuid = SYS1(__NR_arch_prctl, GET_CPUID);
	self->mce_kill = SYS5(__NR_prctl, PR_MCE_KILL_GET, 0, 0, 0, 0);
	for (int i = 0; i < PARASITE_MAX_SPECULATION; i++)
		self->speculation[i] = SYS5(__NR_prctl, PR_GET_SPECULATION_CTRL, i, 0, 0, 0);
	ask_ring_numbers(self);
	self->mempolicy_result = SYS5(__NR_get_mempolicy, &self->mempolicy_mode, self->mempolicy_nodes,
				      sizeof(self->mempolicy_nodes) * 8, 0, 0);
}

static void read_timers(struct parasite_task *task)
{
	struct parasite_posix_timer *timers = (void *)task->posix_timers;

	for (int which = 0; which < 3; which++)
		(void)SYS2(__NR_getitimer, which, &task->itimers[which]);
	for (uint32_t i = 0; i < task->posix_timer_count; i++) {
		(void)SYS2(__NR_timer_gettime, timers[i].id, &timers[i].interval_sec);
		timers[i].overrun = (int32_t)SYS1(__NR_timer_getoverrun, timers[i].id);
	}
}

/* Timers run on meanwhile: asked until what they say and which signals wait is of one moment. */
static void ask_timers(struct parasite_task *task)
{
	uint64_t before = 0;

	(void)SYS2(__NR_rt_sigpending, &task->pending, sizeof(task->pending));
	for (int i = 0; i < TIMER_TRIES && (i == 0 || task->pending != before); i++) {
		before = task->pending;
		read_timers(task);
		(void)SYS2(__NR_rt_sigpending, &task->pending, sizeof(task->pending));
	}
}

/* pid 0: any child. Nothing is collected. */
static int32_t has_continued(int32_t pid)
{
	int32_t info[32] = { 0 };

	/* With WNOHANG success alone says nothing; the first word is si_signo. */
	return SYS5(__NR_waitid, pid ? WAIT_FOR_PID : WAIT_FOR_ALL, pid, info, WAIT_CONTINUED, 0) == 0 && info[0] != 0;
}

/* Those of mbind(2): a mapping without one tells the default. */
static void ask_policies(struct parasite_task *task)
{
	struct parasite_mapping *mappings = (void *)task->mappings;

	for (uint32_t i = 0; i < task->mapping_count; i++) {
		struct parasite_mapping *mapping = &mappings[i];
		int32_t policy = 0;
		long result;

		if (!mapping->start)
			continue;
		result = SYS5(__NR_get_mempolicy, &policy, 0, 0, mapping->start, MPOL_F_ADDR);
		if (result == 0 && policy)
			result = SYS5(__NR_get_mempolicy, &policy, &mapping->nodes, 8 * sizeof(mapping->nodes) + 1,
				      mapping->start, MPOL_F_ADDR);
		mapping->policy = result < 0 ? result : policy;
	}
}

static void ask_children(struct parasite_task *task)
{
	int32_t *children = (void *)task->children;
	const int32_t any = task->child_count ? has_continued(0) : 0;

	for (uint32_t i = 0; i < task->child_count; i++)
		children[i] = any && has_continued(children[i]);
}

/* Locked memory is none to be reclaimed soon; for other memory the advice means nothing but that. */
static int64_t ask_locked_here(const struct parasite_task *task)
{
	const uint64_t page = (uint64_t)task & ~(uint64_t)(PAGE_BYTES - 1);

	return SYS3(__NR_madvise, page, PAGE_BYTES, MADVISE_COLD);
}

/*
 * Only a key that is allocated gets as far as to be told that there is nothing to be put under it: at that address
 * never is.
 */
static uint64_t ask_keys(void)
{
	uint64_t keys = 1;

	for (uint64_t key = 1; key < PROTECTION_KEYS; key++)
		if (SYS4(__NR_pkey_mprotect, BEYOND_ALL_MAPPINGS, PAGE_BYTES, 0, key) == -ERROR_NOMEM)
			keys |= 1ull << key;
	return keys;
}

static int64_t ask_ldt(uint64_t room)
{
	uint64_t first;

	/* 32 bits without sign, even when it fails. */
	return (int32_t)(room ? SYS3(__NR_modify_ldt, 0, room, PARASITE_LDT_BYTES)
			      : SYS3(__NR_modify_ldt, 0, &first, sizeof(first)));
}

static void ask_process(struct parasite_task *task)
{
	int32_t *fds = (void *)task->fds;
	int32_t subreaper = 0;

	for (int signal = 1; signal <= PARASITE_SIGNALS; signal++)
		(void)SYS4(__NR_rt_sigaction, signal, 0, &task->sigactions[signal - 1], sizeof(uint64_t));
	/* From outside the limits of another user's task can be read only with CAP_SYS_RESOURCE. */
	for (int resource = 0; resource < PARASITE_LIMITS; resource++)
		(void)SYS4(__NR_prlimit64, 0, resource, 0, &task->limits[resource]);
	ask_timers(task);
	ask_children(task);
	ask_policies(task);
	for (uint32_t i = 0; i < task->fd_count; i++)
		fds[i] = (int32_t)SYS2(__NR_fcntl, fds[i], FCNTL_GETFD);
	task->dumpable = SYS1(__NR_prctl, PR_GET_DUMPABLE);
	task->thp_disabled = SYS5(__NR_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0);
	if (SYS2(__NR_prctl, PR_GET_CHILD_SUBREAPER, &subreaper) == 0)
		task->child_subreaper = subreaper;
	task->personality = SYS1(__NR_personality, 0xffffffff);
	task->auxv_bytes = SYS5(__NR_prctl, PR_GET_AUXV, task->auxv, sizeof(task->auxv), 0, 0);
	task->brk = (uint64_t)SYS1(__NR_brk, 0);
	(void)SYS2(__NR_arch_prctl, GET_UNTAG_MASK, &task->untag_mask);
	(void)SYS2(__NR_arch_prctl, GET_XCOMP_PERM, &task->state_components);
	task->ldt_bytes = ask_ldt(task->ldt);
	task->membarrier = SYS3(__NR_membarrier, MEMBARRIER_GET_REGISTRATIONS, 0, 0);
	task->mdwe = SYS5(__NR_prctl, PR_GET_MDWE, 0, 0, 0, 0);
	task->locked_here = ask_locked_here(task);
	task->ksm = SYS5(__NR_prctl, PR_GET_MEMORY_MERGE, 0, 0, 0, 0);
	if (task->asks_keys)
		task->keys = ask_keys();
	task->futex_hash = SYS5(__NR_prctl, FUTEX_HASH, FUTEX_HASH_GET_SLOTS, 0, 0, 0);
}

static void __attribute__((used, noreturn)) run(struct parasite_thread *self)
{
	ask_thread(self);
	if (self->is_leader)
		ask_process((struct parasite_task *)self->task);
	__atomic_store_n(&self->done, 1, __ATOMIC_RELEASE);
	for (;;)
		(void)SYS0(__NR_pause);
}

__attribute__((naked, used, section(".text.pie_entry"))) void pie_entry(void);
void pie_entry(void)
{
	__asm__ volatile("xor %ebp, %ebp\n"
			 "and $-16, %rsp\n"
			 "call run\n"
			 "1: jmp 1b\n");
}
