#include "engine/memory-side.h"

#include <errno.h>

#include "base/util.h"
#include "engine/dump.h"
#include "engine/sharing.h"
#include "mm/mm.h"

static void look(struct memory_side *side)
{
	uint32_t next_id = 2;

	sharing_look(side->d);
	for (size_t i = 0; i < side->d->task_count && side->look_result == 0; i++) {
		struct task *task = side->d->tasks[i];

		if (task->is_zombie)
			continue;
		if (!task->vfork_child)
			side->look_result = mm_look(side->d, task, &side->look_error);
		task->vm_id = task->fs_id = task->sighand_id = next_id++;
		if (task->vfork_parent)
			task->vfork_parent->vm_id = task->vm_id;
	}
}

/* Takes the next task that is not saved yet, until none is left or something has failed; by any thread. */
static int save_tasks(struct memory_side *side, struct error *err)
{
	int r = 0;

	while (r == 0 && !side->gave_up) {
		size_t i = atomic_fetch_add(&side->next_task, 1);

		if (i >= side->d->task_count)
			break;
		if (!side->d->tasks[i]->is_zombie && !side->d->tasks[i]->vfork_child)
			r = mm_save_pages(side->d, side->d->tasks[i], err);
	}
	if (r < 0)
		side->gave_up = true;
	return r;
}

static void save(struct memory_side *side)
{
	uint64_t started_us = now_us();

	side->save_result = save_tasks(side, &side->save_error);
	side->d->stats.memdump_us = now_us() - started_us;
}

static void wait_for(sem_t *event)
{
	while (sem_wait(event) < 0 && errno == EINTR)
		;
}

static void *work(void *arg)
{
	struct memory_side *side = arg;

	look(side);
	(void)sem_post(&side->looked);
	wait_for(&side->decided);
	if (side->may_save)
		save(side);
	return NULL;
}

void memory_side_start(struct memory_side *side, struct dump *d, bool is_worth_a_thread)
{
	*side = (struct memory_side){ .d = d };
	if (is_worth_a_thread) {
		(void)sem_init(&side->looked, 0, 0);
		(void)sem_init(&side->decided, 0, 0);
		side->threaded = pthread_create(&side->thread, NULL, work, side) == 0;
	}
	if (!side->threaded)
		look(side);
}

int memory_side_wait_looked(struct memory_side *side, struct error *err)
{
	if (side->threaded)
		wait_for(&side->looked);
	if (side->look_result < 0)
		*err = side->look_error;
	return side->look_result;
}

void memory_side_save(struct memory_side *side)
{
	side->may_save = true;
	if (side->threaded)
		(void)sem_post(&side->decided);
}

void memory_side_give_up(struct memory_side *side)
{
	side->gave_up = true;
}

int memory_side_finish(struct memory_side *side, struct error *err)
{
	int r = 0;

	if (!side->d)
		return 0;
	if (!side->threaded && side->may_save)
		save(side);
	if (side->threaded) {
		if (side->may_save)
			r = save_tasks(side, err);
		else
			(void)sem_post(&side->decided);
		(void)pthread_join(side->thread, NULL);
		(void)sem_destroy(&side->looked);
		(void)sem_destroy(&side->decided);
	}
	side->d = NULL;
	if (r == 0 && side->save_result < 0) {
		*err = side->save_error;
		r = side->save_result;
	}
	return r;
}
