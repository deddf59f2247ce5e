/*
 * Taking over and handing over, for all processes of the new tree at once.
 */
#include "engine/restore-resume.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "arch/x86/debug-registers.h"
#include "arch/x86/regs.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/hand-over.h"
#include "engine/restore-calls.h"
#include "engine/restore-stopped.h"
#include "engine/restore-sync.h"
#include "engine/restore-vfork.h"
#include "engine/restore.h"
#include "engine/traced-thread.h"
#include "mm/restore-area.h"

/* --- before the commit point ------------------------------------------------------------------------------------- */

typedef int (*thread_step)(struct restorer_thread *thread);

static int for_all_threads(struct restore *r, thread_step step, const char *what, struct error *err)
{
	for (size_t i = 0; i < r->task_count; i++) {
		struct restorer_task *task = r->tasks[i]->restorer;

		for (uint64_t k = task ? task->acting : 0; task && k < task->thread_count; k++) {
			/* One that waits in a vfork has all it needs. */
			int result = restore_vfork_is_waiter(&task->threads[k]) ? 0 : step(&task->threads[k]);

			if (result == 0)
				continue;
			/* A dead one is the better explanation. */
			if (restore_look_after(r, err) < 0)
				return err->code;
			return error_set(err, result, "pid %d, thread %d: %s", task->pid, task->threads[k].tid, what);
		}
	}
	return 0;
}

static int seize_filtered(struct restorer_thread *thread)
{
	return thread->is_filtered ? traced_seize(thread) : 0;
}

static int seize_unfiltered(struct restorer_thread *thread)
{
	return thread->is_filtered ? 0 : traced_seize(thread);
}

static int interrupt_thread(struct restorer_thread *thread)
{
	return traced_interrupt(thread->tid);
}

static int set_segments(const struct restorer_thread *thread)
{
	struct user_desc slot;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < RESTORER_TLS_SLOTS; i++) {
		if (!(thread->has_tls >> i & 1))
			continue;
		memcpy(&slot, thread->tls[i], sizeof(slot));
		r = tls_write(thread->tid, &slot);
	}
	return r;
}

/* Nothing of it is to be done for most threads: of those the first request that follows finds out whether they stand.
 */
static int stop_and_prepare(struct restorer_thread *thread)
{
	const bool is_prepared =
	    thread->xstate_outside || thread->debug_registers || thread->has_tls || thread->user_dispatch[0];
	int r = 0;

	if (!traced_may_go_unwaited(thread) || is_prepared)
		r = traced_wait_interruption(thread);
	if (r == 0)
		r = traced_set_extended_registers(thread);
	if (r == 0 && thread->debug_registers)
		r = debug_registers_write(thread->tid, thread->debug_registers);
	if (r == 0)
		r = set_segments(thread);
	return r < 0 ? r : traced_try_user_dispatch(thread);
}

int restore_trace_filtered(struct restore *r, struct error *err)
{
	struct restorer_shared *words = &r->shared->words;
	int result = for_all_threads(r, seize_filtered, "trace it with its seccomp filters suspended", err);

	if (result < 0) {
		if (result == -EPERM)
			error_hint(err,
				   "seccomp filters are restored with CAP_SYS_ADMIN, by a process without filters");
		return result;
	}
	restore_open_gate(&words->seccomp_go);
	return 0;
}

int restore_take_over(struct restore *r, struct error *err)
{
	int result = for_all_threads(r, seize_unfiltered, "attach to it", err);

	if (result == 0)
		result = for_all_threads(r, interrupt_thread, "stop it", err);
	if (result == 0)
		result = for_all_threads(
		    r, stop_and_prepare,
		    "set its extended and debug registers, its segments and its syscall user dispatch", err);
	return result;
}

/* --- behind it --------------------------------------------------------------------------------------------------- */

/* Where one of them waits in a vfork its child unmaps the area, and all others are of this kind. */
static int make_others_final(const struct restorer_task *task)
{
	int r = 0;

	for (uint64_t i = task->vfork_child ? task->acting : task->acting + 1; r == 0 && i < task->thread_count; i++)
		r = restore_vfork_is_waiter(&task->threads[i]) ? 0 : traced_make_final(&task->threads[i]);
	return r;
}

static const struct hand_over_step hand_over_steps[] = {
	{ make_others_final, "set the registers of its threads" }, { hand_over_begin_unmap, "inject a system call" },
	{ hand_over_enter_unmap, "unmap the restore area" },       { hand_over_end_unmap, "unmap the restore area" },
	{ hand_over_complete_leader, "set its registers" },        { hand_over_let_go, "detach from it" },
};

/* The memory of one that waits in a vfork is its child's. */
static bool has_step(const struct restore_task *task, const struct hand_over_step *step)
{
	return !restore_was_stopped(task) &&
	       (!task->vfork_child || step->run == make_others_final || step->run == hand_over_let_go);
}

/* Step by step for all, so that they run at the same time. */
int restore_hand_over(struct restore *r, struct error *err)
{
	const uint64_t code_address = restore_find_call_code(r);
	int result = 0;

	restore_make_calls(r, code_address);
	restore_hand_over_stopped(r, code_address, err, &result);
	if (r->opts->leave != LEAVE_STOPPED)
		restore_await_stops(r);
	for (size_t step = 0; step < ARRAY_SIZE(hand_over_steps); step++)
		for (size_t i = 0; i < r->task_count; i++)
			if (has_step(r->tasks[i], &hand_over_steps[step]))
				hand_over_run(r->tasks[i], &hand_over_steps[step], err, &result);
	if (r->opts->leave == LEAVE_STOPPED)
		restore_await_stops(r);
	return result;
}
