/*
 * Borrowing a thread's registers and giving them back. Both directions change the registers while the thread has its
 * own mask: when the tracer dies in between, a signal handler may run on top of the stub and return to it, but the
 * thread's own code never runs with a mask of ours.
 *
 * A thread that catches its own system calls (PR_SET_SYSCALL_USER_DISPATCH) would be killed by one of ours. It makes
 * none while that is switched off and on again: it stands in the stub's "jmp .", where it also stays when the tracer
 * dies. So does one that has denied itself all memory without a protection key, while that is opened and closed again:
 * to execute needs no right.
 */
#include "internal.h"

/* Interrupts on, everything else at its reset value: no trap, no direction flag, no alignment check. */
#define NEUTRAL_EFLAGS 0x202

void borrowed_regs(struct user_regs_struct *ret_regs, const struct user_regs_struct *own, uint64_t rip)
{
	struct user_regs_struct regs = *own;

	regs.rip = rip;
	regs.rax = (uint64_t)-ENOSYS;
	/* Not in a system call: the kernel does not move rip back to repeat one. */
	regs.orig_rax = (uint64_t)-1;
	regs.eflags = NEUTRAL_EFLAGS;
	*ret_regs = regs;
}

bool is_borrowed(const struct compel_thread *thread)
{
	return thread->journal->state == COMPEL_THREAD_BORROWED;
}

int park_again(struct compel_journal_thread *journal, uint64_t stub_addr)
{
	struct user_regs_struct regs;
	int r;

	borrowed_regs(&regs, &journal->regs, stub_addr + STUB_PARKED_OFFSET);
	journal->next_episode = regs.r14 = clock_ns();
	journal_barrier();
	r = compel_set_regs(journal->tid, &regs);
	if (r < 0)
		return r;
	journal_barrier();
	journal->episode = journal->next_episode;
	return 0;
}

static bool needs_parking(const struct compel_journal_thread *journal)
{
	return journal->dispatch.mode || journal->key_rights;
}

/* Signals are blocked first: no frame holds rights that are not the thread's own. */
static int take_hindrances(struct compel_journal_thread *journal, const struct user_regs_struct *regs)
{
	const struct compel_user_dispatch off = { 0 };
	int r = compel_set_signal_mask(journal->tid, ALL_SIGNALS);

	if (r == 0 && journal->dispatch.mode)
		r = ptrace_set_user_dispatch(journal->tid, &off);
	if (r == 0 && journal->key_rights)
		r = compel_set_key_rights(journal->tid, journal->key_rights & ~COMPEL_KEY_0_RIGHTS);
	if (r == 0 && needs_parking(journal))
		r = compel_set_regs(journal->tid, regs);
	return r;
}

static int return_hindrances(struct compel_journal_thread *journal, uint64_t stub_addr)
{
	int r;

	if (!needs_parking(journal))
		return 0;
	r = park_again(journal, stub_addr);
	if (r == 0 && journal->key_rights)
		r = compel_set_key_rights(journal->tid, journal->key_rights);
	if (r == 0 && journal->dispatch.mode)
		r = ptrace_set_user_dispatch(journal->tid, &journal->dispatch);
	return r;
}

static int find_hindrances(struct compel_journal_thread *journal)
{
	uint32_t rights = 0;
	int r = ptrace_get_user_dispatch(journal->tid, &journal->dispatch);

	if (r == 0)
		r = compel_get_key_rights(journal->tid, &rights);
	journal->key_rights = rights & COMPEL_KEY_0_RIGHTS ? rights : 0;
	return r;
}

int borrow_thread(struct compel_thread *thread, const struct user_regs_struct *regs, uint64_t stub_addr)
{
	struct compel_journal_thread *journal = thread->journal;
	struct user_regs_struct marked = *regs, parked;
	int r = find_hindrances(journal);

	if (r < 0)
		return r;
	journal->regs = thread->regs;
	journal->signal_mask = thread->signal_mask;
	journal->next_episode = 0;
	journal->episode = marked.r14 = clock_ns();
	journal_barrier();
	journal->state = COMPEL_THREAD_BORROWED;
	journal_barrier();
	parked = marked;
	if (needs_parking(journal))
		parked.rip = stub_addr + STUB_PARKED_OFFSET;
	r = compel_set_regs(thread->tid, &parked);
	if (r < 0) {
		journal->state = COMPEL_THREAD_SEIZED;
		return r;
	}
	return take_hindrances(journal, &marked);
}

int return_thread(struct compel_journal_thread *journal, uint64_t stub_addr, bool with_mask)
{
	int r = return_hindrances(journal, stub_addr);

	if (r == 0 && with_mask)
		r = compel_set_signal_mask(journal->tid, journal->signal_mask);
	if (r == 0)
		r = compel_set_regs(journal->tid, &journal->regs);
	if (r < 0)
		return r;
	journal_barrier();
	journal->state = COMPEL_THREAD_SEIZED;
	return 0;
}

static int check_filters(struct compel_task *task, pid_t tid, struct compel_error *err)
{
	long mode = 0;
	int r;

	r = proc_status_number(task->pid, tid, "Seccomp", &mode);
	/* A kernel without seccomp does not show it. */
	if (r < 0 && r != -ENOENT)
		return fail(err, r, "pid %d, thread %d: cannot see whether it has a seccomp filter", task->pid, tid);
	if (mode != 0)
		return fail_say(
		    err, -EPERM,
		    "pid %d, thread %d: it has a seccomp filter that could kill it for a system call of ours, "
		    "and suspending it is not permitted or was not asked for",
		    task->pid, tid);
	return 0;
}

int check_thread(struct compel_task *task, size_t thread, struct compel_error *err)
{
	const struct compel_thread *th = &task->threads[thread];

	if (is_borrowed(th))
		return 0;
	if (th->regs.cs != USER_CS)
		return fail_say(err, -ENOTSUP, "pid %d, thread %d: it runs 32-bit code", task->pid, th->tid);
	return task_state(task)->seccomp_suspended ? 0 : check_filters(task, th->tid, err);
}
