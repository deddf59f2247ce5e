#include "task/waiting-mask.h"

#include <signal.h>

#include "arch/x86/syscall-restart.h"
#include "compel/compel.h"
#include "task/task-look.h"

#define NEVER_BLOCKED (1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1))

static bool find_mask(const struct task *task, const struct task_thread *thread, struct remote_addr *ret)
{
	struct syscall_arguments call;
	struct remote_addr at;
	uint64_t mask;
	bool is_indirect;

	syscall_read_arguments(&thread->regs, &call);
	at.value = syscall_mask_address(&call, &is_indirect);
	if (at.value && is_indirect && compel_read(task->compel, at, &at.value, sizeof(at.value)) < 0)
		return false;
	if (!at.value || compel_read(task->compel, at, &mask, sizeof(mask)) < 0)
		return false;
	*ret = at;
	return (mask & ~NEVER_BLOCKED) == thread->status.sig_blocked;
}

void waiting_masks_keep(const struct task *task)
{
	if (!task->stop_signal)
		return;
	for (size_t i = 0; i < task->thread_count; i++) {
		const struct task_thread *thread = &task->threads[i];
		struct compel_thread *traced = &task->compel->threads[i];

		if (thread->state && thread->status.sig_blocked != thread->signal_mask &&
		    !find_mask(task, thread, &traced->waiting_mask))
			traced->waiting_mask.value = 0;
	}
}
