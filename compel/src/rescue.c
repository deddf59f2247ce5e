/*
 * Walking a dead tracer's journal back. Its tracees were detached by the kernel and run: those that were only seized
 * are free and unharmed; those that were borrowed spin in the stub or sleep in the blob, or run a signal handler of
 * their own on top of it, or have never been touched because the tracer died just before. The registers tell which of
 * these it is:
 *
 *	inside stub or blob             its registers and mask are put back
 *	outside, a signal frame that    it is let go on until the handler has returned
 *	leads back inside is on its stack
 *	outside, no such frame          it is its own already: registers are taken last before the mask and given back
 *	                                first after it
 *
 * The order is compel_cure()'s, and so are the journal's entries: a rescuer that dies as well can be rescued.
 */
#include "internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#define STOP_MS     5000
#define HANDLER_MS  5000
#define ATTACH_MS   1000
#define TURN_NS     1000000
#define FRAME_BYTES 65536UL /* how far a signal frame may lie from the stack pointer */

struct patient {
	struct compel_journal_thread *journal;
	bool attached;
	bool inside; /* stands in stub or blob, stopped */
	bool was_in_handler;
	const char *failed_step;
	struct user_regs_struct regs;
};

struct rescue {
	struct compel_journal_task *journal;
	struct patient *patients; /* patients[0] is the thread that ran the injected calls */
	size_t count;
};

static void sleep_turn(void)
{
	struct timespec ts = { 0, TURN_NS };

	(void)nanosleep(&ts, NULL);
}

/* --- attaching ---------------------------------------------------------------------------------------------------- */

static bool has_ended(pid_t pid, pid_t tid)
{
	char letter = proc_thread_state(pid, tid);

	return letter == 0 || letter == 'Z' || letter == 'X';
}

static int attach_thread(pid_t pid, pid_t tid)
{
	uint64_t deadline_ns = deadline_after_ms(ATTACH_MS);

	for (;;) {
		int r = ptrace_seize(tid, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP);

		if (r == -EPERM || r == -EINVAL)
			r = ptrace_seize(tid, PTRACE_O_TRACESYSGOOD);
		if (r != -EPERM)
			return r;
		if (has_ended(pid, tid))
			return -ESRCH;
		/* The dead tracer may not have let go yet. */
		if (clock_ns() >= deadline_ns)
			return r;
		sleep_turn();
	}
}

static int attach_patient(const struct rescue *rescue, struct patient *patient)
{
	int r = attach_thread(rescue->journal->pid, patient->journal->tid);

	if (r == 0)
		r = ptrace_interrupt(patient->journal->tid);
	patient->attached = r == 0;
	patient->failed_step = r == 0 ? NULL : "trace";
	return r;
}

/* --- where does it stand? ----------------------------------------------------------------------------------------- */

/* Words of the kernel's signal frame, counted from the one that holds the interrupted instruction pointer. */
#define FRAME_R14 -10
#define FRAME_RSP -1
#define FRAME_CS  2

static bool is_frame_of_ours(const struct rescue *rescue, const struct compel_journal_thread *thread,
			     const uint64_t *rip)
{
	const struct compel_journal_task *task = rescue->journal;

	if (!is_borrowed_address(task, rip[0]) || (rip[FRAME_CS] & 0xffff) != USER_CS)
		return false;
	/* The blob uses r14 for itself, but no thread of the task's own has its stack there. */
	if (rip[0] - task->stub_addr >= STUB_CODE_BYTES)
		return is_borrowed_address(task, rip[FRAME_RSP]);
	return rip[FRAME_R14] == thread->episode || rip[FRAME_R14] == thread->next_episode;
}

/* Reads what can be read: a stack simply ends somewhere. */
static void read_stack(pid_t tid, uint64_t from, uint64_t *words, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		size_t n = COMPEL_PAGE_BYTES - ((from + at) & (COMPEL_PAGE_BYTES - 1));

		if (n > bytes - at)
			n = bytes - at;
		if (read_memory(tid, from + at, (char *)words + at, n) < 0)
			memset((char *)words + at, 0, n);
		at += n;
	}
}

static bool leads_back(const struct rescue *rescue, const struct compel_journal_thread *thread, uint64_t from)
{
	uint64_t words[FRAME_BYTES / 8];

	read_stack(thread->tid, from & ~7UL, words, sizeof(words));
	for (size_t i = -FRAME_R14; i < FRAME_BYTES / 8 - FRAME_CS; i++)
		if (is_frame_of_ours(rescue, thread, &words[i]))
			return true;
	return false;
}

/* The frame lies above the stack pointer, or, if the handler has gone to another stack, below the borrowed one. */
static bool is_in_handler(const struct rescue *rescue, const struct patient *patient)
{
	return leads_back(rescue, patient->journal, patient->regs.rsp) ||
	       leads_back(rescue, patient->journal, patient->journal->regs.rsp - FRAME_BYTES);
}

/* Whether the last injected call was executed decides what is mapped; see syscall.c. */
static void conclude_operation(struct compel_journal_task *journal, const struct user_regs_struct *regs)
{
	int64_t value = (int64_t)regs->rax;

	if (journal->operation != COMPEL_OP_NONE && regs->r15 == journal->cookie &&
	    regs->rip == journal->stub_addr + STUB_PARKED_OFFSET)
		conclude_call(journal, journal->operation, value);
	journal_barrier();
	journal->operation = COMPEL_OP_NONE;
}

/*
 * A signal that comes before the stop is taken, unless the thread is back inside: then all signals are blocked, so that
 * the kernel queues it again. Otherwise frequent signals would start one handler after the other.
 */
static int pass_signal(const struct rescue *rescue, struct patient *patient, int signal)
{
	pid_t tid = patient->journal->tid;
	int r;

	r = compel_get_regs(tid, &patient->regs);
	if (r == 0 && patient->journal->state == COMPEL_THREAD_BORROWED &&
	    is_borrowed_address(rescue->journal, patient->regs.rip))
		r = compel_set_signal_mask(tid, ALL_SIGNALS);
	if (r == 0)
		r = ptrace_interrupt(tid);
	if (r == 0)
		r = ptrace_cont(tid, signal);
	return r;
}

static int stop_and_look(const struct rescue *rescue, struct patient *patient)
{
	uint64_t deadline_ns = deadline_after_ms(STOP_MS);

	for (;;) {
		struct stop stop;
		int r = wait_stop(patient->journal->tid, deadline_ns, &stop);

		if (r < 0)
			return r;
		if (stop.kind == STOP_GONE)
			return -ESRCH;
		if (stop.kind == STOP_EVENT)
			return compel_get_regs(patient->journal->tid, &patient->regs);
		r = pass_signal(rescue, patient, stop.signal);
		if (r < 0)
			return r;
	}
}

static int let_go_on(const struct patient *patient)
{
	int r = ptrace_cont(patient->journal->tid, 0);

	if (r < 0)
		return r;
	sleep_turn();
	return ptrace_interrupt(patient->journal->tid);
}

static int settle(const struct rescue *rescue, struct patient *patient)
{
	uint64_t deadline_ns = deadline_after_ms(HANDLER_MS);

	for (;;) {
		int r = stop_and_look(rescue, patient);

		if (r < 0)
			patient->failed_step = "stop";
		if (r < 0 || patient->journal->state != COMPEL_THREAD_BORROWED)
			return r;
		if (is_borrowed_address(rescue->journal, patient->regs.rip)) {
			patient->inside = true;
			return 0;
		}
		if (!is_in_handler(rescue, patient)) {
			patient->journal->state = COMPEL_THREAD_SEIZED;
			return keep_call_waiting(patient->journal->tid, &patient->regs);
		}
		patient->was_in_handler = true;
		if (clock_ns() >= deadline_ns) {
			patient->failed_step = "wait for the end of a signal handler of";
			return -ETIMEDOUT;
		}
		r = let_go_on(patient);
		if (r < 0)
			return r;
	}
}

/* --- giving back -------------------------------------------------------------------------------------------------- */

/* A handler has run on top: calls that a handler ends are not repeated. */
static void end_interrupted_call(struct compel_journal_thread *journal)
{
	int64_t result = (int64_t)journal->regs.rax;

	if (needs_kernel_restart(&journal->regs) && (result == -RESTART_NOHAND || result == -RESTART_RESTARTBLOCK))
		journal->regs.rax = (uint64_t)-EINTR;
}

static int give_back(const struct rescue *rescue, struct patient *patient)
{
	int r;

	if (!patient->inside)
		return 0;
	if (patient->was_in_handler)
		end_interrupted_call(patient->journal);
	r = park_again(patient->journal, rescue->journal->stub_addr);
	if (r == 0)
		r = return_thread(patient->journal, rescue->journal->stub_addr, true);
	if (r == 0)
		patient->inside = false;
	return r;
}

static int unmap_blob(struct rescue *rescue)
{
	struct compel_journal_task *journal = rescue->journal;
	struct patient *leader = &rescue->patients[0];
	const uint64_t args[6] = { journal->blob_addr, journal->blob_bytes };
	struct caller caller = { .journal = journal, .thread = leader->journal };
	pid_t tid = leader->journal->tid;
	int64_t value;
	int stop_signal, r;

	if (!journal->blob_addr)
		return 0;
	if (!leader->inside)
		return -EINVAL;
	r = inject_call(&caller, COMPEL_OP_MUNMAP, SYS_munmap, args, &value);
	if (r == 0 && value < 0)
		r = (int)value;
	if (r == 0)
		r = ptrace_interrupt(tid);
	if (r == 0)
		r = ptrace_cont(tid, 0);
	if (r == 0)
		r = wait_event_stop(tid, deadline_after_ms(STOP_MS), &stop_signal);
	return r;
}

static int undo_task(struct rescue *rescue)
{
	int first = 0, r = 0;

	for (size_t i = 0; i < rescue->count && r != -ESRCH; i++) {
		r = attach_patient(rescue, &rescue->patients[i]);
		if (r < 0 && first == 0)
			first = r;
	}
	for (size_t i = 0; i < rescue->count && r != -ESRCH; i++) {
		if (!rescue->patients[i].attached)
			continue;
		r = settle(rescue, &rescue->patients[i]);
		if (r < 0 && first == 0)
			first = r;
		if (r == 0 && i == 0)
			conclude_operation(rescue->journal, &rescue->patients[0].regs);
	}
	if (r == -ESRCH)
		return r;
	for (size_t i = 1; i < rescue->count; i++) {
		r = give_back(rescue, &rescue->patients[i]);
		if (r < 0 && first == 0)
			first = r;
	}
	/* What someone still stands on stays. */
	r = first;
	if (r == 0)
		r = unmap_blob(rescue);
	if (r == 0)
		r = give_back(rescue, &rescue->patients[0]);
	if (r == 0)
		r = stub_remove(rescue->journal, rescue->journal->caller_tid);
	return r;
}

static void let_go(struct rescue *rescue)
{
	for (size_t i = 0; i < rescue->count; i++) {
		struct patient *patient = &rescue->patients[i];

		if (patient->attached)
			(void)ptrace_detach(patient->journal->tid);
	}
}

/* --- one task ----------------------------------------------------------------------------------------------------- */

/* Frees the entries of threads that are their own; lists the others, the calling thread first. */
static int list_patients(struct compel_journal *journal, uint32_t index, struct rescue *rescue)
{
	struct compel_journal_thread *threads = journal_threads(journal);
	size_t capacity = 1;

	for (uint32_t i = 0; i < journal->thread_count; i++)
		capacity += threads[i].task == index && threads[i].state != COMPEL_THREAD_FREE;
	rescue->journal = &journal->tasks[index];
	rescue->patients = calloc(capacity, sizeof(rescue->patients[0]));
	if (!rescue->patients)
		return -ENOMEM;
	rescue->count = 1;
	for (uint32_t i = 0; i < journal->thread_count; i++) {
		if (threads[i].task != index || threads[i].state == COMPEL_THREAD_FREE)
			continue;
		if (threads[i].tid == rescue->journal->caller_tid)
			rescue->patients[0].journal = &threads[i];
		else if (threads[i].state == COMPEL_THREAD_BORROWED)
			rescue->patients[rescue->count++].journal = &threads[i];
	}
	return 0;
}

static void close_task(struct compel_journal *journal, uint32_t index)
{
	struct compel_journal_thread *threads = journal_threads(journal);

	for (uint32_t i = 0; i < journal->thread_count; i++)
		if (threads[i].task == index)
			threads[i].state = COMPEL_THREAD_FREE;
	journal_barrier();
	journal->tasks[index].pid = 0;
}

static int explain(const struct rescue *rescue, int r, struct compel_error *err)
{
	for (size_t i = 0; i < rescue->count; i++) {
		const struct patient *patient = &rescue->patients[i];

		if (patient->failed_step)
			return fail(err, r,
				    "pid %d: its tracer has died, and it cannot be given back: cannot %s thread %d",
				    rescue->journal->pid, patient->failed_step, patient->journal->tid);
	}
	return fail(err, r, "pid %d: its tracer has died, and it cannot be given back", rescue->journal->pid);
}

static int rescue_task(struct compel_journal *journal, uint32_t index, struct compel_error *err)
{
	struct rescue rescue = { 0 };
	const struct compel_journal_task *task = &journal->tasks[index];
	int r;

	/* Without our stub in it nothing was borrowed, or the process has ended or become another program. */
	if (stub_is_ours(task)) {
		r = list_patients(journal, index, &rescue);
		if (r == 0 && rescue.patients[0].journal) {
			r = undo_task(&rescue);
			let_go(&rescue);
		}
		if (r < 0 && r != -ESRCH && !has_ended(task->pid, task->caller_tid))
			r = explain(&rescue, r, err);
		else
			r = 0;
		free(rescue.patients);
		if (r < 0)
			return r;
	}
	close_task(journal, index);
	return 0;
}

int compel_rescue(struct compel_journal *journal, struct compel_error *err)
{
	int failures = 0;

	for (uint32_t i = 0; i < journal->task_count; i++) {
		struct compel_journal_task *task = &journal->tasks[i];

		if (task->pid && !task->keep && rescue_task(journal, i, failures ? NULL : err) < 0)
			failures++;
	}
	return failures;
}
