/*
 * General registers stand at the upper end of the thread's stack in the kernel, and are believed where /proc shows the
 * same call. Extended registers stand where the kernel has put them when the thread went to sleep.
 *
 * The child is born with all that is its parent's but for pending signals, timers and what is of memory alone; who is
 * not like it any more has changed in a way that cannot be told.
 */
#include "task/vfork-wait.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/x86/regs.h"
#include "arch/x86/xstate.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/files.h"
#include "kernel/features.h"
#include "kernel/kernel-memory.h"
#include "kernel/proc-misc.h"
#include "kernel/signal-queue.h"
#include "kernel/thread-facts.h"
#include "pie/parasite-border.h"
#include "task/likeness.h"
#include "task/process-likeness.h"
#include "task/task-look.h"

#define ENTRY_BYTES     offsetof(struct user_regs_struct, fs_base) /* what the kernel saves at its entry */
#define SPACE_BYTES_MAX 32768
#define SET_CPUID       0x1012
#define STOP_CONTINUED  2u /* SIGNAL_STOP_CONTINUED */

/* The kernel's struct thread_struct has more; of each member its own size. */
struct segments {
	uint16_t es, ds, fs, gs;
	uint64_t fs_base, gs_base;
};

static struct task_thread *waiting_thread(const struct task *task)
{
	for (size_t i = 0; i < task->thread_count; i++)
		if (task->threads[i].tid == task->vfork_tid)
			return &task->threads[i];
	return NULL;
}

static int refuse(const struct task *task, struct error *err, const char *what)
{
	return error_say(err, -ENOTSUP, TASK_FORMAT ": waits for the end of its vfork, and %s", TASK_ARGS(task), what);
}

/* --- in the kernel's memory -------------------------------------------------------------------------------------- */

int vfork_wait_is_for(struct dump *d, const struct task *task, const struct task *child)
{
	uint64_t parent_thread = 0, thread = 0, parent_mm = 0, mm = 0, waiter = 0;
	struct kernel_memory *km;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = kernel_memory_thread(km, task->pidfd, task->vfork_tid, &parent_thread);
	if (r == 0)
		r = kernel_memory_thread(km, child->pidfd, child->host_pid, &thread);
	if (r == 0)
		r = KERNEL_MEMBER(km, parent_thread, "task_struct", "mm", &parent_mm);
	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "mm", &mm);
	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "vfork_done", &waiter);
	return r < 0 ? r : child->maker_tid == task->vfork_tid && waiter && mm && mm == parent_mm;
}

static bool is_entry_of(const struct user_regs_struct *regs, const struct proc_call *call)
{
	return regs->orig_rax == call->number && regs->rip == call->instruction_pointer &&
	       regs->rsp == call->stack_pointer && regs->rdi == call->args[0] && regs->rsi == call->args[1] &&
	       regs->rdx == call->args[2] && regs->r10 == call->args[3] && regs->r8 == call->args[4] &&
	       regs->r9 == call->args[5];
}

/* How large a stack is, and what is left free at its end, is up to how the kernel was built. */
static int read_entry(struct kernel_memory *km, uint64_t stack, const struct proc_call *call,
		      struct user_regs_struct *ret)
{
	static const uint64_t ends[] = { 16384, 16384 - 16, 32768, 32768 - 16 };
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		r = kernel_memory_read(km, stack + ends[i] - ENTRY_BYTES, ret, ENTRY_BYTES);
		if (r == 0 && is_entry_of(ret, call))
			return 0;
	}
	return r < 0 ? r : -ENOENT;
}

static int read_segments(struct kernel_memory *km, uint64_t thread, struct segments *ret)
{
	const int within = kernel_memory_offset(km, "task_struct", "thread");
	const uint64_t at = thread + (uint64_t)within;
	int r = within < 0 ? within : KERNEL_MEMBER(km, at, "thread_struct", "es", &ret->es);

	if (r == 0)
		r = KERNEL_MEMBER(km, at, "thread_struct", "ds", &ret->ds);
	if (r == 0)
		r = KERNEL_MEMBER(km, at, "thread_struct", "fsindex", &ret->fs);
	if (r == 0)
		r = KERNEL_MEMBER(km, at, "thread_struct", "gsindex", &ret->gs);
	if (r == 0)
		r = KERNEL_MEMBER(km, at, "thread_struct", "fsbase", &ret->fs_base);
	return r < 0 ? r : KERNEL_MEMBER(km, at, "thread_struct", "gsbase", &ret->gs_base);
}

static int read_registers(struct kernel_memory *km, const struct task *task, uint64_t thread,
			  struct user_regs_struct *ret)
{
	struct segments segments = { 0 };
	struct proc_call call;
	uint64_t stack = 0;
	int r = proc_read_call(task->procfd, task->vfork_tid, &call);

	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "stack", &stack);
	if (r == 0)
		r = read_entry(km, stack, &call, ret);
	if (r == 0)
		r = read_segments(km, thread, &segments);
	if (r < 0)
		return r;
	ret->fs_base = segments.fs_base;
	ret->gs_base = segments.gs_base;
	ret->ds = segments.ds;
	ret->es = segments.es;
	ret->fs = segments.fs;
	ret->gs = segments.gs;
	return 0;
}

/* Since 6.16 the state of the processor stands behind the task. */
static int find_space(struct kernel_memory *km, uint64_t thread, uint64_t *ret_address)
{
	const int within = kernel_memory_offset(km, "task_struct", "thread.fpu");
	const int behind = kernel_memory_bytes(km, "task_struct");
	uint64_t at = thread + (uint64_t)(within < 0 ? behind : within);

	if (within < 0 && behind < 0)
		return behind;
	return KERNEL_MEMBER(km, at, "fpu", "fpstate", ret_address);
}

static int read_extended(struct kernel_memory *km, uint64_t thread, struct thread_state *state, struct error *err)
{
	AUTO_FREE void *area = aligned_alloc(64, (xstate_bytes() + 63) & ~(size_t)63);
	const int regs_at = kernel_memory_offset(km, "fpstate", "regs");
	const int within = kernel_memory_offset(km, "task_struct", "thread");
	AUTO_FREE char *space = NULL;
	uint32_t bytes = 0, pkru = 0;
	uint64_t address = 0;
	int r = area ? find_space(km, thread, &address) : -ENOMEM;

	if (r == 0 && (regs_at < 0 || within < 0))
		r = -ENOENT;
	if (r == 0)
		r = KERNEL_MEMBER(km, address, "fpstate", "size", &bytes);
	/* A kernel without protection keys has no place for them. */
	if (r == 0 && KERNEL_MEMBER(km, thread + (uint64_t)within, "thread_struct", "pkru", &pkru) < 0)
		pkru = 0;
	if (r == 0 && (bytes == 0 || bytes > SPACE_BYTES_MAX))
		r = -EBADMSG;
	if (r == 0)
		space = malloc(bytes);
	if (r == 0 && !space)
		r = -ENOMEM;
	if (r == 0)
		r = kernel_memory_read(km, address + (uint64_t)regs_at, space, bytes);
	if (r == 0)
		r = xstate_from_kernel(space, bytes, pkru, area);
	return r < 0 ? r : xstate_to_image(area, xstate_bytes(), &state->fpregs, err);
}

/* What is refused where it is not zero. */
static const struct {
	const char *structure, *member;
	size_t bytes;
	const char *what;
} absent[] = {
	{ "task_struct", "thread.io_bitmap", 8, "may use I/O ports (ioperm)" },
	{ "task_struct", "thread.ptrace_dr7", 8, "has breakpoints in its debug registers" },
	{ "task_struct", "thread.tls_array", 24, "has segments in the GDT" },
	{ "task_struct", "io_uring", 8, "has used an io_uring" },
	{ "task_struct", "mempolicy", 8, "has a NUMA policy" },
	{ "task_struct", "vfork_done", 8, "is itself the child of one that does so" },
	{ "task_struct", "seccomp.mode", 4, "is under seccomp" },
};

/* A kernel without the member has nothing of the kind. */
static int check_absent(struct kernel_memory *km, const struct task *task, uint64_t thread, struct error *err)
{
	static const char zeros[24];

	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		char value[24] = { 0 };
		int r = kernel_memory_member(km, thread, absent[i].structure, absent[i].member, value, absent[i].bytes);

		if (r < 0 && r != -ENOENT)
			return error_set(err, r, TASK_FORMAT ": read what the kernel knows of it", TASK_ARGS(task));
		if (memcmp(value, zeros, absent[i].bytes) != 0)
			return refuse(task, err, absent[i].what);
	}
	return 0;
}

static int read_rseq(struct kernel_memory *km, uint64_t thread, struct thread_state *state)
{
	uint64_t address = 0;
	uint32_t bytes = 0, signature = 0;
	int r = KERNEL_MEMBER(km, thread, "task_struct", "rseq", &address);

	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "rseq_len", &bytes);
	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "rseq_sig", &signature);
	if (r < 0)
		return r;
	state->rseq = (struct rseq_config){ .address = address, .size = bytes, .signature = signature };
	state->has_rseq = true;
	return 0;
}

/* --- what it has in common with its child ------------------------------------------------------------------------ */

static int read_flags(struct kernel_memory *km, uint64_t thread, uint64_t *ret)
{
	return KERNEL_MEMBER(km, thread, "task_struct", "thread_info.flags", ret);
}

/*
 * Which of the flags that change all the time stand for faults at the time stamp counter and at CPUID, each kernel
 * numbers by itself: they are switched on here for a moment in which nothing asks for either.
 */
static int learn_fault_flags(struct kernel_memory *km, uint64_t *ret_flags)
{
	AUTO_CLOSE int pidfd = -1;
	uint64_t own = 0, before = 0, tsc = 0, cpuid = 0;
	const pid_t tid = (pid_t)syscall(SYS_gettid);
	int r = pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (r >= 0)
		r = kernel_memory_thread(km, pidfd, tid, &own);
	if (r == 0)
		r = read_flags(km, own, &before);
	if (r < 0)
		return r;
	if (syscall(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0) {
		r = read_flags(km, own, &tsc);
		(void)syscall(SYS_prctl, PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);
	}
	if (syscall(SYS_arch_prctl, SET_CPUID, 0) == 0) {
		int again = read_flags(km, own, &cpuid);

		(void)syscall(SYS_arch_prctl, SET_CPUID, 1);
		r = r < 0 ? r : again;
	}
	*ret_flags = (tsc | cpuid) & ~before;
	return r;
}

static bool is_alike(const struct process_facts *own, const struct process_facts *childs, uint64_t fault_flags)
{
	struct process_likeness one = own->values->likeness, other = childs->values->likeness;

	one.arch_switches &= fault_flags;
	other.arch_switches &= fault_flags;
	return memcmp(&one, &other, sizeof(one)) == 0;
}

/* Beside what each of them has been looked at for. */
static struct thread_likeness likeness_of(const struct thread_facts *facts, uint64_t fault_flags)
{
	struct thread_likeness likeness = facts->likeness;

	likeness.arch_switches &= fault_flags;
	likeness.static_priority = 0;
	likeness.slice_ns = likeness.clamps = 0;
	memset(likeness.cpus, 0, sizeof(likeness.cpus));
	return likeness;
}

static bool are_threads_alike(const struct thread_facts *a, const struct thread_facts *b, uint64_t fault_flags)
{
	const struct thread_likeness one = likeness_of(a, fault_flags), other = likeness_of(b, fault_flags);

	return memcmp(&one, &other, sizeof(one)) == 0;
}

static int open_facts(void)
{
	return feature_is_masked("process_facts") ? -EOPNOTSUPP : process_facts_open();
}

static int open_thread_facts(void)
{
	return feature_is_masked("thread_facts") ? -EOPNOTSUPP : thread_facts_open();
}

static int read_thread_facts(struct task *task)
{
	AUTO_CLOSE int program = -1;

	if (task->thread_facts)
		return 0;
	program = open_thread_facts();
	return program < 0 ? program : likeness_read_facts(task, program);
}

/* The child can be asked in place of the first thread, and that one in place of those which are like it. */
static int check_threads(struct task *task, uint64_t fault_flags, struct error *err)
{
	const struct thread_facts *facts;
	int r = task->thread_count > 1 ? read_thread_facts(task) : 0;

	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": waits for the end of its vfork: compare its threads",
				 TASK_ARGS(task));
	facts = task->thread_facts;
	for (size_t i = 1; i < task->thread_count; i++) {
		if (!likeness_can_be_compared(&facts[0].likeness) || facts[0].io_uring || facts[i].io_uring ||
		    !are_threads_alike(&facts[0], &facts[i], fault_flags))
			return refuse(task, err,
				      "has threads that differ from each other in credentials, scheduling or switches, "
				      "or have an io_uring: what they have cannot be told");
		task->threads[i].facts_own = &facts[i];
	}
	return 0;
}

static bool has_timers(const struct task *task, const struct process_values *values)
{
	static const struct process_cpu_timer none[2];

	return task->state->timer_count || memcmp(values->cpu_timers, none, sizeof(none)) != 0 ||
	       values->real_interval || values->real_is_running;
}

bool vfork_wait_can_be_told(struct dump *d, bool has_threads)
{
	struct kernel_memory *km;
	AUTO_CLOSE int program = dump_kernel_memory(d, &km) == 0 ? open_facts() : -1;
	AUTO_CLOSE int threads = program >= 0 && has_threads ? open_thread_facts() : -1;

	return program >= 0 && (threads >= 0 || !has_threads);
}

static int read_facts(struct dump *d)
{
	AUTO_CLOSE int program = -1;

	if (d->vfork_facts.count)
		return 0;
	program = open_facts();
	return program < 0 ? program : process_facts_read(program, &d->vfork_facts);
}

/* Flushing the first-level cache is switched on by nothing that could be read. */
static bool may_flush_cache(void)
{
	long r = syscall(SYS_prctl, PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, 0, 0, 0);

	return r >= 0 && r & PR_SPEC_PRCTL;
}

static int check_alike(struct dump *d, struct kernel_memory *km, struct task *task, uint64_t thread,
		       uint64_t child_thread, struct error *err)
{
	struct process_facts own, childs;
	uint64_t fault_flags = 0, slack = 0, birth_slack = 0;
	int r = read_facts(d);

	if (r == 0)
		r = learn_fault_flags(km, &fault_flags);
	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "timer_slack_ns", &slack);
	if (r == 0)
		r = KERNEL_MEMBER(km, child_thread, "task_struct", "default_timer_slack_ns", &birth_slack);
	if (r == 0 && (!process_facts_find(&d->vfork_facts, task->host_pid, &own) ||
		       !process_facts_find(&d->vfork_facts, task->vfork_child->host_pid, &childs)))
		r = -ESRCH;
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": compare it with its child of vfork", TASK_ARGS(task));
	if (has_timers(task, own.values))
		return refuse(task, err, "has timers");
	if (may_flush_cache() || !is_alike(&own, &childs, fault_flags) || own.auxv_bytes > sizeof(task->parasite->auxv))
		return refuse(task, err,
			      "differs from its child in credentials, keyrings, namespaces or switches: what it has "
			      "cannot be told");
	if (slack != birth_slack)
		return refuse(task, err, "has another timer slack than its child was born with");
	return check_threads(task, fault_flags, err);
}

/* --- the child --------------------------------------------------------------------------------------------------- */

static int refuse_child(const struct task *child, struct error *err, const char *what)
{
	return error_say(err, -ENOTSUP, TASK_FORMAT ": is the child of vfork for which pid %d waits, and %s",
			 TASK_ARGS(child), child->parent->host_pid, what);
}

static bool is_joined(const struct dump *d, const struct task *leader)
{
	for_each_task (d, task)
		if (task != leader && (task->stat.sid == leader->host_pid || task->stat.pgid == leader->host_pid))
			return true;
	return false;
}

static int check_place(const struct dump *d, const struct task *child, struct error *err)
{
	const struct task *parent = child->parent;
	const pid_t pid = child->host_pid;

	if (child->stat.sid != parent->stat.sid && child->stat.sid != pid)
		return refuse_child(child, err, "is in a session of which neither of them is the leader");
	if (child->stat.pgid != parent->stat.pgid && child->stat.pgid != pid)
		return refuse_child(child, err, "has joined another process group");
	if (is_joined(d, child))
		return refuse_child(child, err, "leads a process group or session of others");
	if (child->stat.sid == pid && child->stat.tty_nr)
		return refuse_child(child, err, "has a controlling terminal of its own");
	return 0;
}

static bool is_same_directory(const struct open_file *a, const struct open_file *b)
{
	return a && b && a->mnt_id == b->mnt_id && a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
}

/* Other threads may have made children meanwhile. */
static bool has_younger_sibling(const struct task *child)
{
	for (const struct task *next = child->next_sibling; next; next = next->next_sibling)
		if (next->maker_tid == child->maker_tid)
			return true;
	return false;
}

static int check_child(struct dump *d, const struct task *child, struct error *err)
{
	const struct task *parent = child->parent;

	if (child->thread_count != 1 || child->ended_leader)
		return refuse_child(child, err, "has threads");
	if (child->first_child)
		return refuse_child(child, err, "has children");
	if (has_younger_sibling(child))
		return refuse_child(child, err, "has younger siblings, which its parent has adopted");
	if (child->stop_signal)
		return refuse_child(child, err, "is stopped");
	if (child->threads[0].status.seccomp_mode > 0)
		return refuse_child(child, err, "is under seccomp");
	if (child->files_owner != child || parent->files_owner != parent)
		return refuse_child(child, err, "shares its descriptor table");
	if (!is_same_directory(child->root, parent->root))
		return refuse_child(child, err, "has another root directory");
	if (child->state->has_loginuid && (child->state->loginuid != parent->state->loginuid ||
					   child->state->audit_session != parent->state->audit_session))
		return refuse_child(child, err, "has another login uid, or is in another login session");
	return check_place(d, child, err);
}

/* Whom its parent can still collect as continued only the parent itself would learn. */
static int check_siblings(struct kernel_memory *km, const struct task *task, struct error *err)
{
	for (const struct task *child = task->first_child; child; child = child->next_sibling) {
		uint64_t thread = 0, signal = 0;
		uint32_t flags = 0;
		int r = child->is_zombie ? 0 : kernel_memory_thread(km, child->pidfd, child->acting_tid, &thread);

		if (r == 0 && thread)
			r = KERNEL_MEMBER(km, thread, "task_struct", "signal", &signal);
		if (r == 0 && signal)
			r = KERNEL_MEMBER(km, signal, "signal_struct", "flags", &flags);
		if (r < 0)
			return error_set(err, r, TASK_FORMAT ": look at its child, pid %d", TASK_ARGS(task),
					 child->host_pid);
		if (flags & STOP_CONTINUED)
			return refuse(task, err, "can still collect that a child of it goes on");
	}
	return 0;
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

/* It makes its child again when it has no rights any more but its own. */
static bool can_choose_pids(const struct task *task)
{
	const uint64_t needed = 1ull << CAP_SYS_ADMIN | 1ull << CAP_CHECKPOINT_RESTORE;

	return waiting_thread(task)->status.cap_eff & needed;
}

static int check_own(const struct task *task, struct error *err)
{
	const struct proc_status *status = &waiting_thread(task)->status;

	if (task->stop_signal)
		return refuse(task, err, "is stopped");
	/* It cannot be blocked: sent to itself at restore, it would stop the process on the spot. */
	if ((status->sig_pending | status->sig_shared_pending) & 1ull << (SIGSTOP - 1))
		return refuse(task, err, "is about to stop (SIGSTOP)");
	if (!can_choose_pids(task))
		return refuse(task, err,
			      "has neither CAP_CHECKPOINT_RESTORE nor CAP_SYS_ADMIN, without which it cannot make its "
			      "child again under the same pid");
	return 0;
}

/* Those of the process are read with the first thread. */
static int read_signals(struct kernel_memory *km, struct task *task, struct task_thread *thread, uint64_t address)
{
	int r = 0;

	if (thread->status.sig_pending)
		r = signal_queue_read(km, address, false, &thread->state->signals);
	if (r == 0)
		r = siginfo_queue_add_bare(&thread->state->signals, thread->status.sig_pending);
	if (r == 0 && thread == task->threads && thread->status.sig_shared_pending)
		r = signal_queue_read(km, address, true, &task->state->signals);
	if (r == 0 && thread == task->threads)
		r = siginfo_queue_add_bare(&task->state->signals, thread->status.sig_shared_pending);
	return r;
}

static bool shares_handlers(struct kernel_memory *km, uint64_t thread, uint64_t child_thread)
{
	uint64_t own = 0, childs = 0;

	return KERNEL_MEMBER(km, thread, "task_struct", "sighand", &own) < 0 ||
	       KERNEL_MEMBER(km, child_thread, "task_struct", "sighand", &childs) < 0 || own == childs;
}

static int look_at_thread(struct dump *d, struct kernel_memory *km, struct task *task, struct error *err)
{
	struct task_thread *thread = waiting_thread(task);
	uint64_t address = 0, child_thread = 0, work = 0;
	int r = kernel_memory_thread(km, task->pidfd, thread->tid, &address);

	if (r == 0)
		r = kernel_memory_thread(km, task->vfork_child->pidfd, task->vfork_child->host_pid, &child_thread);
	if (r == 0)
		r = KERNEL_MEMBER(km, address, "task_struct", "thread_info.syscall_work", &work);
	if (r == 0)
		r = read_registers(km, task, address, &thread->regs);
	if (r == 0)
		r = read_rseq(km, address, thread->state);
	if (r == 0)
		r = read_extended(km, address, thread->state, err);
	if (r < 0)
		return error_is_set(err) ? r : error_set(err, r, TASK_FORMAT ": read its registers", TASK_ARGS(task));
	r = read_signals(km, task, thread, address);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read its pending signals", TASK_ARGS(task));
	thread->signal_mask = thread->status.sig_blocked;
	tls_clear(thread->state->tls);
	if (!regs_is_native(&thread->regs))
		return refuse(task, err, "runs 32-bit code");
	if (work & THREAD_USER_DISPATCH)
		return refuse(task, err, "catches its system calls (syscall user dispatch)");
	if (shares_handlers(km, address, child_thread))
		return refuse_child(task->vfork_child, err, "shares its signal handlers");
	r = check_absent(km, task, address, err);
	return r < 0 ? r : check_alike(d, km, task, address, child_thread, err);
}

int vfork_wait_look(struct dump *d, struct task *task, struct error *err)
{
	struct kernel_memory *km;
	int r = check_own(task, err);

	if (r == 0)
		r = check_child(d, task->vfork_child, err);
	if (r == 0)
		r = files_check_vforked(d, task->vfork_child, err);
	if (r < 0)
		return r;
	r = dump_kernel_memory(d, &km);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read what only the kernel knows of it", TASK_ARGS(task));
	r = look_at_thread(d, km, task, err);
	if (r == 0)
		r = task_look_traced(d, task, err);
	return r < 0 ? r : check_siblings(km, task, err);
}
