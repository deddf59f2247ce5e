/*
 * Each task gets the parasite's code and a data area: the questions and answers of the process, of each thread, and a
 * stack per thread. All are started before one is waited for, so that the tasks answer on all processors at once.
 */
#include "engine/parasite-run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "compel/compel.h"
#include "pie/parasite-border.h"
#include "task/task-look.h"

#define ANSWER_NS 10000000000ull

extern const char pie_parasite_start[], pie_parasite_end[];

/* Offsets into the data area; its first part, up to stacks, is copied there and back. */
struct layout {
	size_t timers, fds, threads, stacks, bytes;
};

static struct layout make_layout(const struct task *task)
{
	struct layout layout;

	layout.timers = sizeof(struct parasite_task);
	layout.fds = layout.timers + task->state->timer_count * sizeof(struct parasite_posix_timer);
	layout.threads = (layout.fds + task->fd_count * sizeof(int32_t) + 63) & ~(size_t)63;
	layout.stacks = (layout.threads + task->thread_count * sizeof(struct parasite_thread) + 63) & ~(size_t)63;
	layout.bytes = page_align_up(layout.stacks + task->thread_count * PARASITE_STACK_BYTES);
	return layout;
}

static struct parasite_thread *local_threads(const struct task *task, const struct layout *layout)
{
	return (struct parasite_thread *)((char *)task->parasite + layout->threads);
}

/* Builds the questions in a local copy of the area. */
static int prepare(struct task *task, const struct layout *layout, uint64_t remote)
{
	struct parasite_task *area = calloc(1, layout->stacks);
	struct parasite_posix_timer *timers;
	int32_t *fds;

	if (!area)
		return -ENOMEM;
	task->parasite = area;
	area->version = BORDER_VERSION;
	area->posix_timer_count = (uint32_t)task->state->timer_count;
	area->fd_count = (uint32_t)task->fd_count;
	area->posix_timers = remote + layout->timers;
	area->fds = remote + layout->fds;
	timers = (void *)((char *)area + layout->timers);
	for (size_t i = 0; i < task->state->timer_count; i++)
		timers[i].id = task->state->timers[i].id;
	fds = (void *)((char *)area + layout->fds);
	for (size_t i = 0; i < task->fd_count; i++)
		fds[i] = task->fds[i].fd;
	for (size_t i = 0; i < task->thread_count; i++) {
		struct parasite_thread *thread = &local_threads(task, layout)[i];

		thread->is_leader = i == 0;
		thread->task = remote;
		task->threads[i].parasite = thread;
	}
	return 0;
}

static int from_compel(struct error *err, const struct task *task, const struct compel_error *compel_err, int r)
{
	return error_say(err, r, TASK_FORMAT ": %s", TASK_ARGS(task), compel_err->text);
}

static void offer_vdso(const struct task *task)
{
	for (size_t i = 0; i < task->maps.count; i++)
		if (!strcmp(proc_vma_path(&task->maps, &task->maps.vmas[i]), "[vdso]"))
			compel_offer_stub(task->compel, task->maps.vmas[i].start, task->maps.vmas[i].end);
}

static int start(struct task *task, const struct layout *layout, struct remote_addr *ret_data, struct error *err)
{
	struct compel_error compel_err = { 0 };
	struct remote_addr code, data;
	int r;

	offer_vdso(task);
	r = compel_inject(task->compel, pie_parasite_start, (size_t)(pie_parasite_end - pie_parasite_start), layout->bytes,
			  &code, &data, &compel_err);
	if (r < 0)
		return from_compel(err, task, &compel_err, r);
	r = prepare(task, layout, data.value);
	if (r == 0)
		r = compel_write(task->compel, data, task->parasite, layout->stacks);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": hand the parasite its questions", TASK_ARGS(task));
	for (size_t i = 0; i < task->thread_count; i++) {
		uint64_t arg = data.value + layout->threads + i * sizeof(struct parasite_thread);
		uint64_t stack_top = data.value + layout->stacks + (i + 1) * PARASITE_STACK_BYTES;

		r = compel_start(task->compel, i, code, arg, stack_top, &compel_err);
		if (r < 0)
			return from_compel(err, task, &compel_err, r);
	}
	*ret_data = data;
	return 0;
}

static int finish(struct task *task, const struct layout *layout, struct remote_addr data, struct error *err)
{
	struct compel_error compel_err = { 0 };
	struct remote_addr *done = calloc(task->thread_count, sizeof(*done));
	int r;

	if (!done)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	for (size_t i = 0; i < task->thread_count; i++)
		done[i].value = data.value + layout->threads + i * sizeof(struct parasite_thread) +
				offsetof(struct parasite_thread, done);
	r = compel_finish(task->compel, done, task->thread_count, now_ns() + ANSWER_NS, &compel_err);
	free(done);
	if (r < 0)
		return from_compel(err, task, &compel_err, r);
	r = compel_read(task->compel, data, task->parasite, layout->stacks);
	return r < 0 ? error_set(err, r, TASK_FORMAT ": read the parasite's answers", TASK_ARGS(task)) : 0;
}

static void take_fd_flags(struct task *task, const struct layout *layout)
{
	const int32_t *flags = (const void *)((char *)task->parasite + layout->fds);

	for (size_t i = 0; i < task->fd_count; i++)
		task->fds[i].close_on_exec = flags[i] > 0 && flags[i] & 1;
}

int parasites_run(struct dump *d, struct error *err)
{
	struct remote_addr *data = calloc(d->task_count, sizeof(*data));
	int r = data ? 0 : error_set(err, -ENOMEM, "parasites");

	for (size_t i = 0; i < d->task_count && r == 0; i++) {
		struct layout layout;

		if (d->tasks[i]->is_zombie)
			continue;
		layout = make_layout(d->tasks[i]);
		r = start(d->tasks[i], &layout, &data[i], err);
	}
	for (size_t i = 0; i < d->task_count && r == 0; i++) {
		struct layout layout;

		if (d->tasks[i]->is_zombie)
			continue;
		layout = make_layout(d->tasks[i]);
		r = finish(d->tasks[i], &layout, data[i], err);
		if (r == 0)
			take_fd_flags(d->tasks[i], &layout);
	}
	free(data);
	return r;
}
