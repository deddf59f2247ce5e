/*
 * The rescuer of a restore. What is not done yet can be told from where a thread stands (hand-over.h).
 */
#include "engine/restore-rescue.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "compel/compel.h"
#include "engine/hand-over.h"
#include "engine/restore-calls.h"
#include "engine/restore-check.h"
#include "engine/restore-stopped.h"
#include "engine/restore-sync.h"
#include "engine/restore-vfork.h"
#include "engine/traced-thread.h"
#include "mm/restore-area.h"

static bool is_in_area(const struct restorer_task *task, uint64_t address)
{
	return address >= task->area_start && address - task->area_start < task->area_bytes;
}

/* False when the thread is the program's already, or gone: it has been let go again. */
static bool take_again(const struct restorer_task *task, struct restorer_thread *thread,
		       struct user_regs_struct *ret_regs)
{
	int status;

	if (traced_seize(thread) < 0)
		return false;
	(void)traced_interrupt(thread->tid);
	if (traced_wait_stop(thread, &status) < 0)
		return false;
	if (compel_get_regs(thread->tid, ret_regs) == 0 &&
	    (is_in_area(task, ret_regs->rip) || hand_over_is_on_stub(task, ret_regs->rip))) {
		/* Let go by the worker's death it went on with its call here, to the end: there is no second time. */
		if (is_in_area(task, ret_regs->rip))
			thread->call_made = 0;
		return true;
	}
	if (thread == traced_acting(task))
		hand_over_remove_stub(task);
	(void)traced_set_user_dispatch(thread);
	(void)traced_close_memory(thread);
	/* A signal that came in between is the program's. */
	(void)traced_request(PTRACE_DETACH, thread->tid, 0, traced_stop_signal(status));
	return false;
}

static void carry_on_others(const struct restorer_task *task)
{
	struct user_regs_struct regs;

	for (uint64_t i = task->vfork_child ? task->acting : task->acting + 1; i < task->thread_count; i++) {
		struct restorer_thread *thread = &task->threads[i];

		if (restore_vfork_is_waiter(thread) || !take_again(task, thread, &regs))
			continue;
		restore_note_call(thread, &regs);
		if (traced_make_final(thread) == 0)
			(void)traced_request(PTRACE_DETACH, thread->tid, 0, 0);
	}
}

/* No thread of it is traced any more, and all signals are blocked in those that are ours. */
static void stop_again(const struct restorer_task *task)
{
	if (task->stop_signal != SIGSTOP || task->slot->stop_sent)
		return;
	(void)kill(task->pid, SIGSTOP);
	task->slot->stop_sent = 1;
	restore_wait_until_stopped(task);
}

static void carry_on_task(const struct restorer_task *task)
{
	struct user_regs_struct regs;
	int r = 0;

	stop_again(task);
	carry_on_others(task);
	/* One that waits in a vfork was complete before it began to. Its child comes behind it, and unmaps the area. */
	if (task->vfork_child || !take_again(task, traced_acting(task), &regs))
		return;
	restore_note_call(traced_acting(task), &regs);
	if (is_in_area(task, regs.rip) || (regs.rip == task->stub_addr && regs.rax == SYS_munmap)) {
		r = hand_over_begin_unmap(task);
		if (r == 0)
			r = hand_over_enter_unmap(task);
		if (r == 0)
			r = hand_over_end_unmap(task);
	}
	if (r == 0)
		(void)hand_over_complete_leader(task);
	if (task->stop_signal && !task->slot->stop_sent)
		(void)kill(task->pid, (int)task->stop_signal);
	(void)traced_request(PTRACE_DETACH, traced_acting(task)->tid, 0, 0);
}

int restore_carry_on(void *ctx)
{
	const struct restore_shared *shared = ctx;

	for (uint32_t i = 0; i < shared->slot_count; i++)
		if (shared->restorers[i])
			carry_on_task(shared->restorers[i]);
	return 0;
}

int restore_roll_back(void *ctx)
{
	struct restore_shared *shared = ctx;
	int r = restore_abort(shared);

	restore_put_back_pid_max(shared);
	return r;
}
