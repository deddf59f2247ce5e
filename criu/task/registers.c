/*
 * Registers of a thread. General registers go into the image as a return from a signal handler would need them: a
 * system call that the kernel was about to restart is rewound to its instruction (arch/x86/syscall-restart.h).
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "arch/x86/regs.h"
#include "arch/x86/syscall-restart.h"
#include "task/core-save.h"
#include "pie/parasite-border.h"
#include "task/task-look.h"

#define FIRST_HANDLER 2 /* above SIG_DFL and SIG_IGN */

/* Whether a handler runs before the thread goes on: that decides between a restart and EINTR. */
static enum restart_signal next_signal(const struct task *task, const struct task_thread *thread)
{
	uint64_t pending = (thread->status.sig_pending | thread->status.sig_shared_pending) & ~thread->signal_mask;

	for (int signal = 1; pending && signal <= PARASITE_SIGNALS; signal++) {
		const struct parasite_sigaction *action = &task->parasite->sigactions[signal - 1];

		if (pending & 1ull << (signal - 1) && action->handler >= FIRST_HANDLER)
			return action->flags & SA_RESTART ? RESTART_HANDLER_RESTART : RESTART_HANDLER;
	}
	return RESTART_NO_HANDLER;
}

/* Unless it has its result already, for a handler is going to run. */
static int save_call(const struct user_regs_struct *image, const struct interrupted_call *call, ThreadCoreEntry *core,
		     struct arena *arena)
{
	RestartEntry *entry;

	if (!call->has_remainder || !syscall_is_made_again(image, call->number))
		return 0;
	entry = arena_alloc(arena, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	restart_entry__init(entry);
	entry->nr = call->number;
	entry->has_remaining_ns = true;
	entry->remaining_ns = call->remaining_ns;
	core->syscall_restart = entry;
	return 0;
}

int registers_check(const struct task *task, struct error *err)
{
	const struct parasite_task *told = task->parasite;

	if (told->untag_mask && told->untag_mask != ~0ull)
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ": keeps tags in its pointers (LAM), which is not supported yet",
				 TASK_ARGS(task));
	return 0;
}

int registers_save(const struct task *task, const struct task_thread *thread, CoreEntry *core, struct arena *arena,
		   struct error *err)
{
	ThreadInfoX86 *info = arena_alloc(arena, sizeof(*info));
	const enum restart_signal signal = next_signal(task, thread);
	struct user_regs_struct live = thread->regs, regs;
	int r;

	if (!info)
		return -ENOMEM;
	thread_info_x86__init(info);
	if (thread->state->interrupted_call.number)
		live.orig_rax = thread->state->interrupted_call.number;
	if (thread->state->ended_call.is_known)
		ended_call_make_again(&thread->state->ended_call, &live);
	regs_for_image_with_signal(&live, signal, &regs);
	core->thread_core->restart_code = (uint32_t)syscall_restart_code(&live, signal);
	core->thread_core->has_restart_code = core->thread_core->restart_code != 0;
	r = regs_to_image(&regs, &info->gpregs, err);
	if (r < 0)
		return r;
	info->fpregs = thread->state->fpregs;
	info->clear_tid_addr = thread->parasite->clear_tid_address;
	r = tls_to_image(thread->state->tls, &info->tls, &info->n_tls);
	if (r < 0)
		return r;
	if (thread->state->has_debug_registers) {
		info->debug_registers = thread->state->debug_registers;
		info->n_debug_registers = DEBUG_REGISTER_COUNT;
	}
	core->thread_info = info;
	return save_call(&regs, &thread->state->interrupted_call, core->thread_core, arena);
}

void registers_save_done(CoreEntry *core)
{
	ThreadInfoX86 *info = core->thread_info;

	if (!info)
		return;
	user_x86_regs_entry__free_unpacked(info->gpregs, NULL);
	for (size_t i = 0; i < info->n_tls; i++)
		user_desc_t__free_unpacked(info->tls[i], NULL);
	free(info->tls);
	core->thread_info = NULL;
}
