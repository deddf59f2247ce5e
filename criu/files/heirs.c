/*
 * A process that was forked mostly has nothing its parent does not have. Then its restore is a fork, too, and all there
 * is to do about its files is to close what is not its own. What would have to be done in the process itself (a signal
 * owner, a lock, another directory) makes it one that goes the long way.
 */
#include "files/heirs.h"

#include <errno.h>

#include "engine/restore.h"
#include "files/file-kind.h"
#include "files/locks.h"
#include "files/thread-files.h"
#include "files/restore-files.h"
#include "images/fdinfo.pb-c.h"
#include "images/file-lock.pb-c.h"
#include "images/fs.pb-c.h"
#include "mm/restore-area.h"

static bool has_lock(const struct restore *r, const struct checked_task *image)
{
	const struct image_list *locks = &restore_files_of(r)->locks;

	for (size_t i = 0; i < locks->count; i++) {
		const FileLockEntry *lock = locks->items[i];

		if (lock->pid == (int)image->entry->pid)
			return true;
	}
	return false;
}

static bool is_same_place(const FsEntry *a, const FsEntry *b)
{
	return a->cwd_id == b->cwd_id && a->root_id == b->root_id && a->has_umask == b->has_umask &&
	       a->umask == b->umask;
}

static bool can_inherit_fd(const struct restore *r, const FdinfoEntry *entry, const FdinfoEntry *creators)
{
	const struct restore_file *file = restore_find_file(r, entry->type, entry->id);

	return file && !file->finish_in_each_user && !file->is_late &&
	       file == restore_find_file(r, creators->type, creators->id) && entry->flags == creators->flags;
}

/* Both tables are in ascending order. */
static bool is_part_of(const struct restore *r, const struct checked_fd_table *table,
		       const struct checked_fd_table *creators)
{
	size_t at = 0;

	for (size_t i = 0; i < table->count; i++) {
		while (at < creators->count && creators->entries[at]->fd < table->entries[i]->fd)
			at++;
		if (at == creators->count || creators->entries[at]->fd != table->entries[i]->fd ||
		    !can_inherit_fd(r, table->entries[i], creators->entries[at]))
			return false;
	}
	return true;
}

bool files_can_inherit(const struct restore *r, const struct restore_task *task, const struct restore_task *creator)
{
	const struct checked_task *image = task->image;

	return image->fds && creator->image->fds && task->files_owner == task && creator->files_owner == creator &&
	       is_same_place(image->fs, creator->image->fs) && !has_lock(r, image) &&
	       files_left_terminal(task) == files_left_terminal(creator) &&
	       is_part_of(r, image->fds, creator->image->fds);
}

uint64_t files_closing_room(const struct restore *r, const struct checked_task *task)
{
	return area_room((task->fds ? task->fds->count : 0) + 1, sizeof(struct restorer_closing)) +
	       locks_room(r, task) + thread_files_room(r, task);
}

int files_plan_closing(struct restore *r, struct restore_task *task, struct error *err)
{
	const struct checked_fd_table *table = task->image->fds;
	const size_t count = table ? table->count : 0;
	struct restorer_closing *closings = area_alloc(r, (count + 1) * sizeof(*closings));
	uint64_t closing_count = 0;
	uint32_t next = 0;
	int result;

	if (!closings)
		return error_set(err, -ENOMEM, "restore area");
	for (size_t i = 0; i < count; i++) {
		const uint32_t fd = table->entries[i]->fd;

		if (fd > next)
			closings[closing_count++] = (struct restorer_closing){ next, fd - 1 };
		next = fd + 1;
	}
	closings[closing_count++] = (struct restorer_closing){ next, UINT32_MAX };
	task->restorer->closings = closings;
	task->restorer->closing_count = closing_count;
	result = locks_plan(r, task, err);
	return result < 0 ? result : thread_files_plan(r, task, err);
}
