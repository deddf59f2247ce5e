#include "task/interrupted-call.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "arch/x86/syscall-restart.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/dump.h"
#include "kernel/proc-misc.h"
#include "kernel/restart-block.h"
#include "task/task-look.h"

#define OWN_PROCESSOR_TIME (-6)  /* the kernel's number for CLOCK_PROCESS_CPUTIME_ID: of pid 0 */
#define FIRST_ADDRESS      65536 /* below it are clock numbers, not pointers */

/* --- the calls --------------------------------------------------------------------------------------------------- */

static bool is_nanosleep(const struct syscall_arguments *call, const struct restart_block *block)
{
	return call->args[0] >= FIRST_ADDRESS && block->sleep.clock_id == CLOCK_MONOTONIC &&
	       (block->sleep.type ? block->sleep.remainder : 0) == call->args[1];
}

/* Spans on the clock that can be set are counted by the one that cannot. */
static clockid_t counting_clock(clockid_t clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
		return CLOCK_MONOTONIC;
	case CLOCK_PROCESS_CPUTIME_ID:
		return OWN_PROCESSOR_TIME;
	default:
		return clock;
	}
}

static bool is_clock_nanosleep(const struct syscall_arguments *call, const struct restart_block *block)
{
	return call->args[2] >= FIRST_ADDRESS && !(call->args[1] & TIMER_ABSTIME) &&
	       block->sleep.clock_id == counting_clock((clockid_t)call->args[0]) &&
	       (block->sleep.type ? block->sleep.remainder : 0) == call->args[3];
}

static bool is_poll(const struct syscall_arguments *call, const struct restart_block *block)
{
	return block->poll.entries == call->args[0] && block->poll.count == (uint32_t)call->args[1] &&
	       block->poll.has_timeout == ((int)call->args[2] >= 0);
}

static bool is_futex(const struct syscall_arguments *call, const struct restart_block *block)
{
	return block->futex.address == call->args[0] && block->futex.value == (uint32_t)call->args[2] && call->args[3];
}

static bool has_span_always(const struct syscall_arguments *call)
{
	(void)call;
	return true;
}

static bool is_limited_poll(const struct syscall_arguments *call)
{
	return (int)call->args[2] > 0;
}

static bool is_relative_sleep(const struct syscall_arguments *call)
{
	return !(call->args[1] & TIMER_ABSTIME);
}

/* All other operations have a point in time. */
static bool is_relative_futex(const struct syscall_arguments *call)
{
	return (call->args[1] & ~(uint64_t)FUTEX_PRIVATE_FLAG) == FUTEX_WAIT;
}

static int sleep_deadline(const struct restart_block *block, clockid_t *ret_clock, uint64_t *ret_ns)
{
	*ret_clock = block->sleep.clock_id;
	*ret_ns = block->sleep.deadline_ns;
	/* Alarms are kept elsewhere, and clocks of other processes mean nothing in a restored tree. */
	return *ret_clock == CLOCK_MONOTONIC || *ret_clock == CLOCK_BOOTTIME || *ret_clock == CLOCK_TAI ||
		       *ret_clock == OWN_PROCESSOR_TIME
		   ? 0
		   : -ENOTSUP;
}

static int poll_deadline(const struct restart_block *block, clockid_t *ret_clock, uint64_t *ret_ns)
{
	*ret_clock = CLOCK_MONOTONIC;
	*ret_ns = block->poll.deadline_sec * NS_PER_SEC + block->poll.deadline_nsec;
	return 0;
}

static int futex_deadline(const struct restart_block *block, clockid_t *ret_clock, uint64_t *ret_ns)
{
	*ret_clock = CLOCK_MONOTONIC;
	*ret_ns = block->futex.deadline_ns;
	return 0;
}

static const struct timed_call {
	uint64_t number;
	bool (*matches)(const struct syscall_arguments *call, const struct restart_block *block);
	bool (*has_span)(const struct syscall_arguments *call);
	int (*deadline)(const struct restart_block *block, clockid_t *ret_clock, uint64_t *ret_ns);
	int remainder_argument; /* -1: none */
} timed_calls[] = {
	{ SYS_nanosleep, is_nanosleep, has_span_always, sleep_deadline, 1 },
	{ SYS_clock_nanosleep, is_clock_nanosleep, is_relative_sleep, sleep_deadline, 3 },
	{ SYS_poll, is_poll, is_limited_poll, poll_deadline, -1 },
	{ SYS_futex, is_futex, is_relative_futex, futex_deadline, -1 },
};

static const struct timed_call *find_timed_call(uint64_t number)
{
	for (size_t i = 0; i < ARRAY_SIZE(timed_calls); i++)
		if (timed_calls[i].number == number)
			return &timed_calls[i];
	return NULL;
}

/* --- what is known of a call ------------------------------------------------------------------------------------- */

/* A thread that was stopped before in the same call no longer has its number; the code that made the call may. */
static uint64_t number_from_code(const struct task *task, const struct user_regs_struct *regs)
{
	unsigned char code[SYSCALL_CODE_BYTES];
	const struct remote_addr at = { regs->rip - sizeof(code) };

	return compel_read(task->compel, at, code, sizeof(code)) < 0 ? 0 : syscall_number_from_code(code);
}

static const struct timed_call *identify(const struct task *task, const struct task_thread *thread,
					 const struct syscall_arguments *call, const struct restart_block *block)
{
	if (call->number != SYS_restart_syscall)
		return find_timed_call(call->number);
	for (size_t i = 0; block && i < ARRAY_SIZE(timed_calls); i++)
		if (timed_calls[i].matches(call, block))
			return &timed_calls[i];
	return find_timed_call(number_from_code(task, &thread->regs));
}

/* The program that reads restart blocks: loaded when the first one is needed, and not tried twice. */
struct block_reader {
	int program_fd;
	bool is_open;
	struct proc_time_offsets offsets; /* of our clocks from those of the deadlines */
};

static int64_t offset_of(const struct block_reader *reader, clockid_t clock)
{
	return clock == CLOCK_MONOTONIC  ? reader->offsets.monotonic_ns
	       : clock == CLOCK_BOOTTIME ? reader->offsets.boottime_ns
					 : 0;
}

/*
 * As the process itself would read it, its own processor time has another number from outside; as in the initial time
 * namespace, for deadlines are kept so.
 */
static int read_clock(const struct block_reader *reader, const struct task *task, clockid_t clock, uint64_t *ret_ns)
{
	const int64_t offset_ns = offset_of(reader, clock);
	struct timespec now;

	if (clock == OWN_PROCESSOR_TIME) {
		int r = clock_getcpuclockid(task->host_pid, &clock);

		if (r != 0)
			return -r;
	}
	if (clock_gettime(clock, &now) < 0)
		return -errno;
	*ret_ns = (uint64_t)(now.tv_sec * NS_PER_SEC + now.tv_nsec - offset_ns);
	return 0;
}

static int remainder_from_block(const struct block_reader *reader, const struct task *task,
				const struct timed_call *kind, const struct restart_block *block, uint64_t *ret_ns)
{
	uint64_t deadline_ns = 0, now = 0;
	clockid_t clock;
	int r = kind->deadline(block, &clock, &deadline_ns);

	if (r == 0)
		r = read_clock(reader, task, clock, &now);
	if (r == 0)
		*ret_ns = deadline_ns > now ? deadline_ns - now : 0;
	return r;
}

static int remainder_from_memory(const struct task *task, const struct timed_call *kind,
				 const struct syscall_arguments *call, uint64_t *ret_ns)
{
	struct timespec left;
	int r;

	if (kind->remainder_argument < 0 || !call->args[kind->remainder_argument])
		return -ENOENT;
	r = compel_read(task->compel, (struct remote_addr){ call->args[kind->remainder_argument] }, &left,
			sizeof(left));
	if (r < 0)
		return r;
	if (left.tv_sec < 0 || left.tv_nsec < 0 || left.tv_nsec >= NS_PER_SEC)
		return -EINVAL;
	*ret_ns = (uint64_t)left.tv_sec * NS_PER_SEC + (uint64_t)left.tv_nsec;
	return 0;
}

/* --- all threads ------------------------------------------------------------------------------------------------- */

static int open_reader(struct block_reader *reader)
{
	if (reader->is_open)
		return reader->program_fd;
	reader->is_open = true;
	reader->program_fd = proc_read_own_time_offsets(&reader->offsets);
	if (reader->program_fd == 0)
		reader->program_fd = restart_block_open();
	if (reader->program_fd < 0)
		log_debug("restart blocks cannot be read: %s\n", strerror(-reader->program_fd));
	return reader->program_fd;
}

static struct restart_block *read_blocks(struct block_reader *reader, const struct task *task)
{
	struct restart_block *blocks = NULL;
	size_t count = 0;
	int fd = open_reader(reader);
	int r = fd < 0 ? fd : restart_block_list(fd, task->pidfd, &blocks, &count);

	/* A first thread that has ended is listed as well. */
	if (r == 0 && task->ended_leader && count > 1)
		memmove(blocks, blocks + 1, --count * sizeof(*blocks));
	if (r == 0 && count == task->thread_count)
		return blocks;
	free(blocks);
	return NULL;
}

static bool is_interrupted(const struct task_thread *thread)
{
	return syscall_needs_restart_block(&thread->regs);
}

/* Cheap where it is enough: most sleepers ask for the remainder. True when all is known. */
static bool look_at_memory(const struct task *task, struct task_thread *thread)
{
	struct interrupted_call *found = &thread->state->interrupted_call;
	struct syscall_arguments call;
	const struct timed_call *kind;

	syscall_read_arguments(&thread->regs, &call);
	kind = identify(task, thread, &call, NULL);
	if (!kind)
		return false;
	found->number = kind->number;
	if (!kind->has_span(&call))
		return true;
	found->has_remainder = remainder_from_memory(task, kind, &call, &found->remaining_ns) == 0;
	return found->has_remainder;
}

static void look_at_block(const struct block_reader *reader, const struct task *task, struct task_thread *thread,
			  const struct restart_block *block)
{
	struct interrupted_call *found = &thread->state->interrupted_call;
	struct syscall_arguments call;
	const struct timed_call *kind;

	syscall_read_arguments(&thread->regs, &call);
	kind = identify(task, thread, &call, block);
	if (!kind)
		return;
	found->number = kind->number;
	found->has_remainder = kind->has_span(&call) && kind->matches(&call, block) &&
			       remainder_from_block(reader, task, kind, block, &found->remaining_ns) == 0;
}

static void look_at_task(struct block_reader *reader, struct task *task)
{
	AUTO_FREE struct restart_block *blocks = NULL;
	bool is_complete = true;

	for (size_t i = 0; i < task->thread_count; i++)
		if (is_interrupted(&task->threads[i]))
			is_complete &= look_at_memory(task, &task->threads[i]);
	if (is_complete)
		return;
	blocks = read_blocks(reader, task);
	for (size_t i = 0; blocks && i < task->thread_count; i++)
		if (is_interrupted(&task->threads[i]) && !task->threads[i].state->interrupted_call.has_remainder)
			look_at_block(reader, task, &task->threads[i], &blocks[i]);
}

void interrupted_calls_look(struct dump *d)
{
	struct block_reader reader = { .program_fd = -1 };

	for_each_task (d, task)
		if (!task->is_zombie && task->state)
			look_at_task(&reader, task);
	close_fd(&reader.program_fd);
}

/* --- restore ----------------------------------------------------------------------------------------------------- */

bool interrupted_call_goes_on(const struct user_regs_struct *image, const RestartEntry *entry)
{
	const struct timed_call *kind = entry && entry->has_remaining_ns ? find_timed_call(entry->nr) : NULL;
	struct syscall_arguments call;

	if (!kind || !syscall_is_made_again(image, entry->nr))
		return false;
	syscall_read_arguments(image, &call);
	return kind->has_span(&call);
}
