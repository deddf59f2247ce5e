/*
 * Threads that have children of their own: the kernel notes who made a process, so they make them, while their process
 * is still in the engine's code (engine/early-threads.c). They never run that: they stand here, on the stack that they
 * have in the end, and make a call when they are told to.
 */
#include "pie/restorer-early.h"

#include "pie/clone-border.h"
#include "pie/restorer-report.h"
#include "pie/restorer-thread.h"
#include "pie/syscall.h"

static uint32_t wait_for_order(struct restorer_thread *thread)
{
	uint32_t order;

	while ((order = __atomic_load_n(&thread->order, __ATOMIC_ACQUIRE)) == ORDER_DONE)
		wait_while(&thread->order, order);
	return order;
}

static int64_t carry_out(uint32_t order, const uint64_t arguments[4])
{
	if (order == ORDER_ARRIVE)
		return 0;
	if (order == ORDER_CALL)
		return SYS3((long)arguments[0], arguments[1], arguments[2], arguments[3]);
	return CLONE_INTO_ADDRESS((const struct clone_record *)arguments[0], arguments[1], arguments[2], 0);
}

/* A thread that is started later gets these from the one that starts it, and the word with its creation. */
static void catch_up(struct restorer_thread *thread)
{
	(void)SYS1(__NR_set_tid_address, thread->clear_tid);
	check_thread(thread, STEP_PERSONALITY, SYS1(__NR_personality, thread->task->personality),
		     thread->task->personality);
	set_name(thread);
}

_Noreturn void run_early_thread(struct restorer_thread *thread)
{
	uint32_t order;

	while ((order = wait_for_order(thread)) != ORDER_TAKE_UP) {
		thread->order_result = carry_out(order, thread->order_arguments);
		__atomic_store_n(&thread->order, ORDER_DONE, __ATOMIC_RELEASE);
		wake(&thread->order, 1);
	}
	catch_up(thread);
	run_thread(thread);
}

void take_up_early_thread(struct restorer_thread *thread)
{
	__atomic_store_n(&thread->order, ORDER_TAKE_UP, __ATOMIC_RELEASE);
	wake(&thread->order, 1);
}
