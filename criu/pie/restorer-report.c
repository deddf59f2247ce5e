/* How the restorer reports: the first failure of a run is written down, and each change is told by a word to wait for.
 */
#include "pie/restorer-report.h"

void report_progress(struct restorer_shared *shared)
{
	__atomic_add_fetch(&shared->progress, 1, __ATOMIC_RELEASE);
	wake(&shared->progress, 1);
}

static _Noreturn void fail_thread(struct restorer_task *task, int32_t tid, uint32_t step, long error, uint64_t detail,
				  uint64_t detail2)
{
	struct restorer_shared *shared = task->shared;
	uint32_t none = 0;

	if (__atomic_compare_exchange_n(&shared->failed, &none, task->slot_index + 1, 0, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED)) {
		task->slot->error = (int32_t)error;
		task->slot->error_step = step;
		task->slot->error_tid = tid;
		task->slot->detail[0] = detail;
		task->slot->detail[1] = detail2;
		__atomic_store_n(&shared->error_ready, 1, __ATOMIC_RELEASE);
		report_progress(shared);
	}
	for (;;)
		(void)SYS1(__NR_exit_group, 1);
}

_Noreturn void fail(struct restorer_task *task, long error, uint64_t detail, uint64_t detail2)
{
	fail_thread(task, task->pid, task->slot->step, error, detail, detail2);
}

void check(struct restorer_task *task, long result, uint64_t detail)
{
	if (result < 0)
		fail(task, result, detail, 0);
}

void check_thread(struct restorer_thread *thread, uint32_t step, long result, uint64_t detail)
{
	if (result < 0)
		fail_thread(thread->task, thread->tid, step, result, detail, 0);
}
