/*
 * The restorer: runs in each process of the new tree on memory of the restore area, where the engine has laid down what
 * to do (restorer-border.h). It unmaps everything else, makes the mappings of the task in place and puts the contents
 * in, then sets what only the task itself can set, thread by thread, and sleeps until it is taken over from outside.
 * All signals are blocked while it runs.
 *
 * This is where it starts, and the order of it all; each kind of state has its file beside this one. A failure is a
 * step, an errno and up to two numbers; the worker makes the sentence.
 */
#include "pie/restorer-border.h"
#include "pie/restorer-clone.h"
#include "pie/restorer-early.h"
#include "pie/restorer-files.h"
#include "pie/restorer-memory.h"
#include "pie/restorer-process.h"
#include "pie/restorer-report.h"
#include "pie/restorer-seccomp.h"
#include "pie/restorer-signals.h"
#include "pie/restorer-thread.h"
#include "pie/restorer-timers.h"
#include "pie/restorer-vfork.h"
#include "pie/syscall.h"

void pie_entry(struct restorer_task *task, struct restorer_thread *early);

/*
 * Where a call is made from outside (engine/restore-calls.c finds the code by its bytes). When the tracer dies the
 * thread waits behind it without another call, which filters could forbid.
 */
__attribute__((naked, used, section(".text.pie_kept"))) static void call_from_outside(void)
{
	__asm__ volatile("syscall\n"
			 "1: pause\n"
			 "jmp 1b\n");
}

static _Noreturn void build_task(struct restorer_task *task);

__attribute__((used)) static _Noreturn void heir_main(struct restorer_task *heir)
{
	__atomic_store_n(&heir->slot->state, SLOT_ALIVE, __ATOMIC_RELEASE);
	open_pages(heir);
	build_task(heir);
}

/* The slot says what may exist before it exists, as in engine/restore-fork.c. */
static void create_heir(struct restorer_task *task, struct restorer_task *heir)
{
	const struct clone_record record = {
		.exit_signal = (uint64_t)heir->exit_signal,
		.stack = heir->threads[0].stack_top - RESTORER_LEADER_STACK_BYTES,
		.stack_bytes = RESTORER_LEADER_STACK_BYTES,
		.set_tid = (uint64_t)&heir->pid,
		.set_tid_count = 1,
	};
	struct restorer_slot *slot = heir->slot;
	uint32_t forking = SLOT_FORKING;
	long result;

	bequeath_files(task, heir);
	slot->pid = heir->pid;
	__atomic_store_n(&slot->state, SLOT_FORKING, __ATOMIC_RELEASE);
	result = CLONE_INTO(&record, heir_main, heir);
	if (result < 0) {
		__atomic_store_n(&slot->state, SLOT_NONE, __ATOMIC_RELEASE);
		fail(task, result, heir->slot_index, 0);
	}
	(void)__atomic_compare_exchange_n(&slot->state, &forking, SLOT_ALIVE, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void create_heirs(struct restorer_task *task)
{
	enter(task, STEP_CREATE);
	for (uint64_t i = 0; i < task->heir_count; i++)
		create_heir(task, task->heirs[i]);
}

/* Nothing of the task's own was set yet: its heirs are born as it was. */
static _Noreturn void build_task(struct restorer_task *task)
{
	create_heirs(task);
	build_memory(task);
	set_personality(task);
	set_sigactions(task);
	set_ksm(task);
	set_subreaper(task);
	register_membarriers(task);
	set_ldt(task);
	request_components(task);
	become_suid_dumpable(task);
	set_name(&task->threads[0]);
	start_threads(task);
	open_thread_files(task);
	create_timers(task);
	queue_shared_signals(task);
	set_up_thread(&task->threads[0]);
	if (task->acting)
		end_leader(task);
	finish_task(task);
}

_Noreturn void finish_task(struct restorer_task *task)
{
	wait_for_threads(task);
	set_dumpable(task);
	set_mdwe(task);
	set_futex_hash(task);
	arm_timers(task);
	/* Those of one that waits in a vfork are set by its child, whose making they are not to hinder. */
	if (!task->vfork_child)
		set_limits(task, 0);
	enter(task, STEP_READY);
	if (is_to_wait_in_vfork(&task->threads[task->acting]))
		wait_in_vfork(&task->threads[task->acting]);
	set_strict_mode(&task->threads[task->acting]);
	sleep_until_taken(&task->threads[task->acting]);
}

/* The first thread enters with its task, one that is there early with itself. */
__attribute__((section(".text.pie_entry"))) void pie_entry(struct restorer_task *task, struct restorer_thread *early)
{
	if (early)
		run_early_thread(early);
	unmap_others(task);
	build_task(task);
}
