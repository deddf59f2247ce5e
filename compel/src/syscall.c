/*
 * One system call on a stopped thread. The registers are pointed at the stub's "syscall" and the thread runs from entry
 * to exit; whenever the tracer dies, it ends in "jmp ." with the result in rax. r15 holds the operation's cookie, so
 * that registers that were set for this very operation are told from those left by the one before: with it a survivor
 * knows whether the call has been, or is still to be, executed.
 */
#include "internal.h"

#include <string.h>

/* A call that waits for something is interrupted after so long. */
#define CALL_MS    10000
#define ERROR_MIN  -4095
#define COOKIE_TAG 0xc0de000000000000ULL

static bool is_restart_code(int64_t value)
{
	return value <= -RESTART_SYS && value >= -RESTART_RESTARTBLOCK;
}

static int exit_result(pid_t tid, bool interrupted, bool *ret_finished, int64_t *ret_value)
{
	int r = ptrace_peek_rax(tid, ret_value);

	if (r < 0)
		return r;
	/* Something outside has broken the wait; the kernel repeats the call when the thread goes on. */
	*ret_finished = !is_restart_code(*ret_value);
	if (!*ret_finished && interrupted)
		return -ETIMEDOUT;
	return 0;
}

void conclude_call(struct compel_journal_task *journal, enum compel_operation operation, int64_t value)
{
	if (operation == COMPEL_OP_MMAP && (value < ERROR_MIN || value >= 0))
		journal->blob_addr = (uint64_t)value;
	if (operation == COMPEL_OP_MUNMAP && value == 0)
		journal->blob_addr = 0;
	journal_barrier();
	journal->operation = COMPEL_OP_NONE;
}

static int take_stop(struct call *call, const struct stop *stop)
{
	call->running = false;
	switch (stop->kind) {
	case STOP_GONE:
		return -ESRCH;
	case STOP_EVENT:
		return 0;
	case STOP_SIGNAL:
		call->signal = stop->signal;
		return 0;
	case STOP_SYSCALL:
		call->entered = !call->entered;
		return call->entered
			   ? 0
			   : exit_result(call->caller.thread->tid, call->interrupted, &call->finished, &call->value);
	}
	return 0;
}

static int go_on(struct call *call)
{
	int r = ptrace_cont_to_syscall(call->caller.thread->tid, call->signal);

	call->signal = 0;
	call->running = r == 0;
	return r;
}

int call_advance(struct call *call)
{
	pid_t tid = call->caller.thread->tid;
	struct stop stop;
	int r = call->running ? 0 : go_on(call);

	if (r == 0)
		r = wait_stop(tid, call->deadline_ns, &stop);
	if (r == -ETIMEDOUT && !call->interrupted) {
		call->interrupted = true;
		call->deadline_ns = deadline_after_ms(1000);
		r = ptrace_interrupt(tid);
		if (r == 0)
			r = wait_stop(tid, call->deadline_ns, &stop);
	}
	if (r == 0)
		r = take_stop(call, &stop);
	if (r == 0 && call->finished)
		conclude_call(call->caller.journal, call->operation, call->value);
	return r < 0 || call->finished ? r : go_on(call);
}

int call_begin(struct call *call, long number, const uint64_t args[6])
{
	const struct caller *caller = &call->caller;
	struct compel_journal_task *journal = caller->journal;
	struct user_regs_struct regs;
	int r;

	borrowed_regs(&regs, caller->to_borrow ? &caller->to_borrow->regs : &caller->thread->regs,
		      journal->stub_addr + STUB_SYSCALL_OFFSET);
	journal->cookie = COOKIE_TAG | ((journal->cookie + 1) & ~COOKIE_TAG);
	journal_barrier();
	journal->operation = call->operation;
	journal_barrier();
	regs.rax = (uint64_t)number;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	regs.r14 = caller->thread->episode;
	regs.r15 = journal->cookie;

	call->deadline_ns = deadline_after_ms(CALL_MS);
	if (caller->to_borrow)
		r = borrow_thread(caller->to_borrow, &regs, journal->stub_addr);
	else
		r = compel_set_regs(caller->thread->tid, &regs);
	return r < 0 ? r : go_on(call);
}

int inject_call(struct caller *caller, enum compel_operation operation, long number, const uint64_t args[6],
		int64_t *ret_value)
{
	struct call call = { .caller = *caller, .operation = operation };
	int r = call_begin(&call, number, args);

	while (r == 0 && !call.finished)
		r = call_advance(&call);
	if (r == 0)
		*ret_value = call.value;
	return r;
}

static int check_leader(const struct compel_task *task, struct compel_error *err)
{
	const struct compel_thread *leader = &task->threads[0];

	if (task->thread_count == 0 || !leader->stopped)
		return fail_say(err, -EINVAL, "pid %d: a system call can only be run while it is stopped", task->pid);
	if (task_state(task)->thread_states[0].started)
		return fail_say(err, -EBUSY, "pid %d: it is running injected code", task->pid);
	return 0;
}

int call_prepare(struct compel_task *task, enum compel_operation operation, struct call *ret_call,
		 struct compel_error *err)
{
	int r = check_leader(task, err);

	if (r == 0)
		r = check_thread(task, 0, err);
	if (r == 0)
		r = stub_put(task, err);
	if (r < 0)
		return r;
	*ret_call = (struct call){ .caller = { .journal = task->journal }, .operation = operation };
	ret_call->caller.thread = task->threads[0].journal;
	ret_call->caller.to_borrow = is_borrowed(&task->threads[0]) ? NULL : &task->threads[0];
	task_state(task)->thread_states[0].at_syscall_stop = true;
	return 0;
}

int call_error(const struct compel_task *task, long number, int r, struct compel_error *err)
{
	if (r == -ESRCH)
		return fail_gone(err, task->pid);
	return fail(err, r, "pid %d: cannot run system call %ld in it", task->pid, number);
}

int call_on_leader(struct compel_task *task, enum compel_operation operation, long number, const uint64_t args[6],
		   int64_t *ret_value, struct compel_error *err)
{
	struct call call;
	int r = call_prepare(task, operation, &call, err);

	if (r < 0)
		return r;
	r = call_begin(&call, number, args);
	while (r == 0 && !call.finished)
		r = call_advance(&call);
	if (r < 0)
		return call_error(task, number, r, err);
	*ret_value = call.value;
	return 0;
}

int compel_syscall(struct compel_task *task, long number, const uint64_t args[6], int64_t *ret_value,
		   struct compel_error *err)
{
	return call_on_leader(task, COMPEL_OP_OTHER, number, args, ret_value, err);
}
