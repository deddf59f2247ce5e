/*
 * Filters are read from a stopped tracee, oldest first, and stand in seccomp.img as one contiguous chain per thread.
 * When all threads of a process are under the same chain only the leader's is stored, marked TSYNC: it is put on the
 * leader once the other threads exist. A filter that hands system calls to a listener cannot be brought back: the
 * listener's descriptor belongs to the filter's installation.
 */
#include "security/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "engine/dump.h"
#include "image/image-write.h"
#include "images/seccomp.pb-c.h"
#include "kernel/seccomp.h"

static bool hands_to_listener(const struct seccomp_filter *filter)
{
	for (size_t i = 0; i < filter->instruction_count; i++) {
		const struct sock_filter *at = &filter->instructions[i];

		if (at->code == (BPF_RET | BPF_K) && (at->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	}
	return false;
}

int seccomp_look(struct task *task, struct task_thread *thread, struct error *err)
{
	struct thread_seccomp *seccomp;
	int r;

	if (thread->status.seccomp_mode <= 0)
		return 0;
	seccomp = calloc(1, sizeof(*seccomp));
	if (!seccomp)
		return error_set(err, -ENOMEM, "seccomp");
	thread->seccomp = seccomp;
	seccomp->mode = thread->status.seccomp_mode;
	if (seccomp->mode != SECCOMP_MODE_FILTER)
		return 0;
	r = seccomp_read_filters(thread->tid, &seccomp->filters, &seccomp->filter_count);
	if (r < 0) {
		error_hint(err, "reading seccomp filters needs CAP_SYS_ADMIN");
		return error_set(err, r, "read its seccomp filters");
	}
	for (size_t i = 0; i < seccomp->filter_count; i++)
		if (hands_to_listener(&seccomp->filters[i])) {
			error_hint(err, "end the supervisor that listens for this task's system calls first");
			return error_say(err, -ENOTSUP,
					 "seccomp filter %zu hands system calls to a listener (user notification)", i);
		}
	(void)task;
	return 0;
}

static bool is_same_chain(const struct thread_seccomp *a, const struct thread_seccomp *b)
{
	if (!a || !b || a->mode != b->mode || a->filter_count != b->filter_count)
		return false;
	for (size_t i = 0; i < a->filter_count; i++) {
		const struct seccomp_filter *x = &a->filters[i], *y = &b->filters[i];

		if (x->flags != y->flags || x->instruction_count != y->instruction_count ||
		    memcmp(x->instructions, y->instructions, x->instruction_count * sizeof(*x->instructions)) != 0)
			return false;
	}
	return true;
}

static bool has_one_chain(const struct task *task)
{
	const struct thread_seccomp *leader = task->threads[0].seccomp;

	if (task->thread_count < 2 || !leader || leader->mode != SECCOMP_MODE_FILTER)
		return false;
	for (size_t i = 1; i < task->thread_count; i++)
		if (!is_same_chain(leader, task->threads[i].seccomp))
			return false;
	return true;
}

static int add_chain(struct thread_seccomp *seccomp, bool tsync, SeccompEntry *image, size_t *capacity)
{
	for (size_t i = 0; i < seccomp->filter_count; i++) {
		const struct seccomp_filter *filter = &seccomp->filters[i];
		SeccompFilter *entry = malloc(sizeof(*entry));

		if (!entry ||
		    array_reserve(&image->seccomp_filters, capacity, image->n_seccomp_filters, sizeof(entry)) < 0) {
			free(entry);
			return -ENOMEM;
		}
		seccomp_filter__init(entry);
		entry->filter.data = (uint8_t *)filter->instructions;
		entry->filter.len = filter->instruction_count * sizeof(*filter->instructions);
		entry->has_flags = true;
		entry->flags = (uint32_t)filter->flags | (tsync ? SECCOMP_FILTER_FLAG_TSYNC : 0);
		entry->has_prev = i > 0;
		entry->prev = i > 0 ? (uint32_t)image->n_seccomp_filters - 1 : 0;
		seccomp->newest = (uint32_t)image->n_seccomp_filters;
		image->seccomp_filters[image->n_seccomp_filters++] = entry;
	}
	return 0;
}

static int add_task(struct task *task, SeccompEntry *image, size_t *capacity)
{
	bool one_chain = !task->is_zombie && has_one_chain(task);

	for (size_t i = 0; i < task->thread_count; i++) {
		struct thread_seccomp *seccomp = task->threads[i].seccomp;
		int r;

		if (!seccomp)
			continue;
		seccomp->is_leaders = one_chain && i > 0;
		r = seccomp->is_leaders ? 0 : add_chain(seccomp, one_chain, image, capacity);
		if (r < 0)
			return r;
	}
	return 0;
}

int seccomp_save(struct dump *d, struct error *err)
{
	SeccompEntry image = SECCOMP_ENTRY__INIT;
	size_t capacity = 0;
	int r = 0;

	for (size_t i = 0; i < d->task_count && r == 0; i++)
		r = add_task(d->tasks[i], &image, &capacity);
	if (r < 0)
		(void)error_set(err, r, "seccomp filters");
	else
		r = image_write_one(d->set, IMAGE_SECCOMP, 0, &image, err);
	for (size_t i = 0; i < image.n_seccomp_filters; i++)
		free(image.seccomp_filters[i]);
	free(image.seccomp_filters);
	return r;
}

void seccomp_save_thread(const struct task_thread *thread, ThreadCoreEntry *tc)
{
	const struct thread_seccomp *seccomp = thread->seccomp;

	if (!seccomp || seccomp->is_leaders)
		return;
	tc->has_seccomp_mode = true;
	tc->seccomp_mode = (SeccompMode)seccomp->mode;
	if (seccomp->mode == SECCOMP_MODE_FILTER) {
		tc->has_seccomp_filter = true;
		tc->seccomp_filter = seccomp->newest;
	}
}

void seccomp_free(struct task_thread *thread)
{
	if (!thread->seccomp)
		return;
	seccomp_filters_free(thread->seccomp->filters, thread->seccomp->filter_count);
	free(thread->seccomp);
	thread->seccomp = NULL;
}
