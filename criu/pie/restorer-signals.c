/* Actions of signals, and those that are pending for the process and for its threads; all are blocked in here. */
#include "pie/restorer-signals.h"

#include "pie/restorer-report.h"
#include "pie/restorer-timers.h"

void set_sigactions(struct restorer_task *task)
{
	enter(task, STEP_SIGACTION);
	for (uint32_t signal = 1; signal <= RESTORER_SIGNALS; signal++) {
		if (signal == 9 || signal == 19)
			continue;
		check(task, SYS4(__NR_rt_sigaction, signal, &task->sigactions[signal - 1], 0, sizeof(uint64_t)),
		      signal);
	}
}

void queue_shared_signals(struct restorer_task *task)
{
	enter(task, STEP_PENDING_SIGNAL);
	for (uint64_t i = 0; i < task->pending_count; i++) {
		const struct restorer_siginfo *info = &task->pending[i];
		int32_t signal = *(const int32_t *)(const void *)info->bytes;

		if (!expire_timer(task, info))
			check(task, SYS3(__NR_rt_sigqueueinfo, task->pid, signal, info), (uint64_t)signal);
	}
}

void queue_own_signals(struct restorer_thread *thread)
{
	overrun_of_thread(thread);
	if (thread->pending_count)
		wait_while(&thread->task->timers_made, 0);
	for (uint64_t i = 0; i < thread->pending_count; i++) {
		const struct restorer_siginfo *info = &thread->pending[i];
		int32_t signal = *(const int32_t *)(const void *)info->bytes;

		if (!expire_timer(thread->task, info))
			check_thread(thread, STEP_PENDING_SIGNAL,
				     SYS4(__NR_rt_tgsigqueueinfo, thread->task->pid, thread->tid, signal, info),
				     (uint64_t)signal);
	}
}
