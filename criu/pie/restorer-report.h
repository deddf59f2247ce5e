/* What the restorer tells the worker: the step it is in, that it gets on, why it failed; and waiting for others. */
#pragma once

#include <linux/futex.h>
#include <stdint.h>

#include "pie/restorer-border.h"
#include "pie/syscall.h"

#define ERROR_INTR  4
#define ERROR_IO    5
#define ERROR_AGAIN 11
#define ERROR_NOMEM 12
#define ERROR_EXIST 17
#define ERROR_INVAL 22

void report_progress(struct restorer_shared *shared);

/* Who fails first is heard; the whole process ends. */
_Noreturn void fail(struct restorer_task *task, long error, uint64_t detail, uint64_t detail2);

static inline void wake(uint32_t *word, uint32_t count)
{
	(void)SYS3(__NR_futex, word, FUTEX_WAKE, count);
}

static inline void wait_while(uint32_t *word, uint32_t value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		(void)SYS4(__NR_futex, word, FUTEX_WAIT, value, 0);
}

static inline void enter(struct restorer_task *task, uint32_t step)
{
	task->slot->step = step;
}

/* Fails when the result says so. */
void check(struct restorer_task *task, long result, uint64_t detail);
void check_thread(struct restorer_thread *thread, uint32_t step, long result, uint64_t detail);
