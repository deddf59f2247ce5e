#include "engine/limit-room.h"

#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "engine/undo.h"
#include "kernel/prlimit.h"
#include "pie/parasite-border.h"

/* Less would have to be counted as exactly as the kernel does it. */
#define SPARE_BYTES (64 * PAGE_BYTES)

static void make_room(struct dump *d, const struct task *task, int resource, uint64_t used, uint64_t bytes)
{
	const uint64_t wanted = page_align_up(used + bytes + SPARE_BYTES);
	struct undo_limit raise = { .pid = task->host_pid,
				    .tid = task->acting_tid,
				    .resource = resource,
				    .start_time_ticks = task->stat.start_time_ticks };
	const struct undo_limit *before;
	struct rlimit now;

	if (prlimit_of(task->acting_tid, resource, NULL, &now) < 0 || wanted <= now.rlim_cur)
		return;
	before = undo_find_limit(d->undo, task->host_pid, resource);
	raise.own = before ? before->own : now;
	raise.raised = now;
	raise.raised.rlim_cur = wanted;
	raise.raised.rlim_max = max_u64(now.rlim_max, wanted);
	if (!undo_note_limit(d->undo, &raise) || prlimit_of(task->acting_tid, resource, &raise.raised, NULL) < 0)
		return;
	log_debug("pid %d: limit %d is %llu for a while\n", task->host_pid, resource, (unsigned long long)wanted);
}

void limit_room_make(struct dump *d, const struct task *task, uint64_t bytes)
{
	const struct proc_status *status = &task->threads[0].status;

	make_room(d, task, RLIMIT_AS, task->stat.vm_size_bytes, bytes);
	make_room(d, task, RLIMIT_DATA, status->vm_data_kb * 1024, bytes);
	/* Whoever has locked memory may have asked for all that comes (MCL_FUTURE). */
	if (status->vm_locked_kb)
		make_room(d, task, RLIMIT_MEMLOCK, status->vm_locked_kb * 1024, bytes);
}

void limit_room_correct(const struct dump *d, struct task *task)
{
	for (int resource = 0; resource < PARASITE_LIMITS; resource++) {
		const struct undo_limit *limit = undo_find_limit(d->undo, task->host_pid, resource);

		if (!limit || task->parasite->limits[resource].current != limit->raised.rlim_cur)
			continue;
		task->parasite->limits[resource].current = limit->own.rlim_cur;
		task->parasite->limits[resource].maximum = limit->own.rlim_max;
	}
}

void limit_room_give_back(struct dump *d, const struct task *task)
{
	undo_give_limits_back(d->undo, task->host_pid);
}
