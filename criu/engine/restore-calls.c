/*
 * Making calls once more. They are made with an interruption waiting already: each returns at once, and the kernel has
 * noted how to go on.
 */
#include "engine/restore-calls.h"

#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "arch/x86/syscall-restart.h"
#include "base/log.h"
#include "compel/compel.h"
#include "engine/restore-vfork.h"
#include "engine/restore.h"
#include "engine/traced-thread.h"
#include "mm/restore-area.h"

extern const char pie_restorer_start[], pie_restorer_end[];

/* syscall; pause; jmp back */
static const uint8_t call_code[] = { 0x0f, 0x05, 0xf3, 0x90, 0xeb, 0xfc };

uint64_t restore_find_call_code(const struct restore *r)
{
	const char *found =
	    memmem(pie_restorer_start, (size_t)(pie_restorer_end - pie_restorer_start), call_code, sizeof(call_code));

	return found ? (uint64_t)r->shared->entry + (uint64_t)(found - pie_restorer_start) : 0;
}

static int begin_call(struct restorer_thread *thread, uint64_t code_address)
{
	struct user_regs_struct regs;
	int r;

	thread->call_address = code_address;
	syscall_make_elsewhere(thread->regs, code_address, (uint64_t)thread->call_time, thread->call_ns, &regs);
	r = compel_set_regs(thread->tid, &regs);
	return r < 0 ? r : traced_request(PTRACE_SYSCALL, thread->tid, 0, 0);
}

static int interrupt_call(const struct restorer_thread *thread)
{
	int r = traced_wait_syscall(thread);

	if (r == 0)
		r = traced_interrupt(thread->tid);
	return r < 0 ? r : traced_request(PTRACE_SYSCALL, thread->tid, 0, 0);
}

static int end_call(struct restorer_thread *thread)
{
	struct user_regs_struct regs;
	int r = traced_wait_syscall(thread);

	if (r == 0)
		r = compel_get_regs(thread->tid, &regs);
	if (r < 0)
		return r;
	thread->call_result = (int64_t)regs.rax;
	thread->call_made = 1;
	return 0;
}

static void make_call(struct restorer_thread *thread, uint64_t code_address, int step)
{
	int r;

	if (!thread->call_number)
		return;
	if (step == 0)
		r = begin_call(thread, code_address);
	else if (step == 1)
		r = interrupt_call(thread);
	else
		r = end_call(thread);
	if (r == 0)
		return;
	log_warn("thread %d: its call waits for its whole time: error %d\n", thread->tid, r);
	thread->call_number = 0;
}

/* A thread whose call cannot be made makes it itself, for the whole time. */
void restore_make_calls(struct restore *r, uint64_t code_address)
{
	for (int step = 0; code_address && step < 3; step++)
		for (size_t i = 0; i < r->task_count; i++) {
			struct restorer_task *task = r->tasks[i]->restorer;

			for (uint64_t k = task ? task->acting : 0; task && k < task->thread_count; k++)
				if (!restore_vfork_is_waiter(&task->threads[k]))
					make_call(&task->threads[k], code_address, step);
		}
}

/*
 * A thread that was let go by its tracer's death has gone on with its call. What became of that counts: the kernel's
 * note is good for one restart only.
 */
void restore_note_call(struct restorer_thread *thread, const struct user_regs_struct *regs)
{
	if (!thread->call_address || regs->rip <= thread->call_address ||
	    regs->rip - thread->call_address >= sizeof(call_code))
		return;
	thread->call_result = (int64_t)regs->rax;
	thread->call_made = 1;
}
