/*
 * What each process of the new tree is to do: laid down in the restore area, one struct restorer_task each, with the
 * words by which they wait for each other. Each kind of state says how much room it needs, then adds its part.
 */
#include "engine/restore-plan.h"

#include <errno.h>
#include <signal.h>

#include "engine/early-threads.h"
#include "engine/restore-heirs.h"
#include "engine/restore-vfork.h"
#include "files/heirs.h"
#include "files/io-uring.h"
#include "mm/restore-area.h"
#include "mm/restore-memory.h"
#include "mm/vdso.h"
#include "task/restore-limits.h"
#include "task/restore-process.h"
#include "task/timer-slack.h"

static uint64_t count_room(const struct restore *r)
{
	uint64_t bytes = area_room(r->task_count, sizeof(struct restorer_slot)) +
			 area_room(2 * r->task_count, sizeof(struct restorer_task *)) + 16 * r->task_count +
			 area_room(r->task_count, 2 * sizeof(uint64_t));

	for (size_t i = 0; i < r->images->task_count; i++)
		if (!r->images->tasks[i].is_zombie)
			bytes += restore_process_room(r, &r->images->tasks[i]) +
				 restore_memory_room(&r->images->tasks[i]) +
				 files_closing_room(r, &r->images->tasks[i]) +
				 io_uring_room(r, r->images->tasks[i].entry->pid) +
				 (r->images->tasks[i].vfork_parent ? restore_vfork_room(&r->images->tasks[i]) : 0);
	return bytes;
}

static int make_words(struct restore *r, struct error *err)
{
	struct restore_shared *shared = r->shared;

	shared->slot_count = (uint32_t)r->task_count;
	shared->words.slots = area_alloc(r, r->task_count * sizeof(*shared->words.slots));
	shared->restorers = area_alloc(r, r->task_count * sizeof(*shared->restorers));
	if (!shared->words.slots || !shared->restorers)
		return error_set(err, -ENOMEM, "restore area");
	for (size_t i = 0; i < r->task_count; i++) {
		struct restore_task *task = r->tasks[i];

		shared->words.forking += !task->go_between && !task->vfork_parent;
		if (!task->image || task->is_zombie)
			continue;
		task->restorer = area_alloc(r, sizeof(*task->restorer));
		if (!task->restorer)
			return error_set(err, -ENOMEM, "restore area");
		shared->restorers[i] = task->restorer;
		if (task->vfork_parent)
			continue;
		shared->words.installing++;
		shared->words.preparing += (uint32_t)task->image->thread_count - task->image->leader_has_ended;
	}
	return 0;
}

static int share_table(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *owner = task->files_owner->restorer;

	if (task->files_owner == task)
		return 0;
	if (!owner->table_users) {
		owner->table_users = area_alloc(r, sizeof(*owner->table_users));
		if (!owner->table_users)
			return error_set(err, -ENOMEM, "restore area");
		*owner->table_users = 1;
	}
	++*owner->table_users;
	task->restorer->table_users = owner->table_users;
	return 0;
}

/* Where the last system call of ours is injected: behind the vdso's code, or in the blob where there is no vdso. */
static void find_stub(const struct restore *r, struct restorer_task *restorer)
{
	uint64_t offset = vdso_stub_offset(r->vdso.code, r->vdso.code_bytes);
	const unsigned char *code = r->shared->entry;

	if (restorer->vdso != VDSO_NONE && restorer->vdso != VDSO_DATA && offset) {
		restorer->stub_addr = restorer->vdso_map_at + r->vdso.data_bytes + offset;
		return;
	}
	for (; code[0] != 0x0f || code[1] != 0x05; code++)
		;
	restorer->stub_addr = (uint64_t)code;
	restorer->stub_is_own = 1;
}

static int plan_task(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	int result;

	restorer->shared = &r->shared->words;
	restorer->slot = &r->shared->words.slots[task->index];
	restorer->slot_index = (uint32_t)task->index;
	restorer->pid = task->pid;
	restorer->area_start = r->area->start;
	restorer->area_bytes = r->area->bytes;
	restorer->images_dirfd = r->set->dirfd;
	result = restore_process_plan(r, r->own_creds, task, err);
	if (result == 0)
		result = task->vfork_parent ? restore_vfork_plan(r, task, err) : restore_memory_plan(r, task, err);
	restore_limits_plan(r->own_limits, task);
	if (result == 0 && !task->vfork_parent)
		result = io_uring_plan(r, task, err);
	if (result == 0)
		result = share_table(r, task, err);
	if (result == 0)
		result = files_plan_closing(r, task, err);
	if (result < 0)
		return result;
	find_stub(r, restorer);
	if (r->opts->leave == LEAVE_STOPPED && !restorer->stop_signal)
		restorer->stop_signal = SIGSTOP;
	return 0;
}

int restore_plan_tasks(struct restore *r, struct error *err)
{
	int result = restore_area_map(r, count_room(r), err);

	if (result == 0)
		result = make_words(r, err);
	r->sets_slacks = timer_slack_is_needed(r->own_limits, r->images);
	for (size_t i = 0; result == 0 && i < r->task_count; i++)
		if (r->tasks[i]->restorer)
			result = plan_task(r, r->tasks[i], err);
	early_threads_plan(r);
	return result < 0 ? result : restore_plan_heirs(r, err);
}
