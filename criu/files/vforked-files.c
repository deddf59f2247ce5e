/*
 * Descriptors of a process that its parent makes by vfork once more. It begins in the memory of its parent, when
 * nothing is there any more that could open a file: the parent opens what it needs besides, and the worker takes that
 * and sends it when it is there. The rest it has from its parent.
 *
 * Before that it is not there: nothing can stand for it that is opened earlier.
 */
#include "files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/file-kinds.h"
#include "files/locks.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/fs.pb-c.h"
#include "mm/restore-area.h"

/* --- dump -------------------------------------------------------------------------------------------------------- */

/* What is as well opened by another process, and needs nothing of its own. */
static const struct file_kind *const lent_kinds[] = {
	&pipe_kind, &fifo_kind, &eventfd_kind, &memfd_kind, &device_kind, &regular_kind,
};

static bool can_be_lent(const struct open_file *file)
{
	if (file->link && !strncmp(file->link, "/proc/", 6))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(lent_kinds); i++)
		if (file->kind == lent_kinds[i])
			return !file->owner.pid && !file->owner.signal;
	return false;
}

static bool has_it_too(const struct task *task, const struct task_fd *fd)
{
	for (size_t i = 0; i < task->fd_count; i++)
		if (task->fds[i].fd == fd->fd)
			return task->fds[i].file == fd->file;
	return false;
}

static int check_own(const struct task *child, struct error *err)
{
	for (size_t i = 0; i < child->fd_count; i++) {
		const struct open_file *file = child->fds[i].file;

		if (has_it_too(child->parent, &child->fds[i]) || can_be_lent(file))
			continue;
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ", fd %d, %s: is open in the child of a vfork that has not ended, and not "
					     "so in its parent, which is not supported for files of this kind",
				 TASK_ARGS(child), child->fds[i].fd, file->kind->name);
	}
	return 0;
}

static bool is_below_proc(const struct open_file *file, pid_t pid)
{
	char directory[32];
	size_t length = (size_t)snprintf(directory, sizeof(directory), "/proc/%d", pid);

	return file->link && !strncmp(file->link, directory, length) &&
	       (file->link[length] == '\0' || file->link[length] == '/');
}

static bool is_about(const struct open_file *file, pid_t pid)
{
	return file->owner.pid == pid || file->owner.pid == -pid || is_below_proc(file, pid) ||
	       (file->kind == &pidfd_kind && file->kind_data && *(const int *)file->kind_data == pid);
}

int files_check_vforked(struct dump *d, const struct task *child, struct error *err)
{
	char place[256];

	for (size_t i = 0; i < d->files->count; i++)
		if (is_about(d->files->files[i], child->host_pid))
			return error_say(err, -ENOTSUP,
					 "%s: is about pid %d, the child of a vfork that has not ended, which is not "
					 "supported",
					 open_file_describe(d->files->files[i], place, sizeof(place)), child->host_pid);
	if (locks_has_record(d, child))
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ": is the child of vfork for which pid %d waits, and holds a record lock, "
					     "which is not supported",
				 TASK_ARGS(child), child->parent->host_pid);
	return check_own(child, err);
}

/* --- restore ----------------------------------------------------------------------------------------------------- */

/* What its parent has under the same number it is born with. */
static bool is_parents(const struct restore *r, const struct restore_task *child, const FdinfoEntry *entry,
		       const struct restore_file *file)
{
	return restore_file_of_fd(r, child->vfork_parent, (int)entry->fd) == file;
}

static bool is_special(const struct restore_file *file)
{
	return file->is_late || file->thread || file->finish_in_each_user || file->kind->finish_after_all;
}

int files_check_lent(const struct restore *r, const struct restore_task *child, struct error *err)
{
	const struct checked_fd_table *table = child->image->fds;

	if (!table || !child->vfork_parent->image->fds)
		return error_say(err, -EBADMSG, "pid %d has no descriptor table", child->pid);
	for (size_t i = 0; i < table->count; i++) {
		const struct restore_file *file = restore_table_files(r, table)[i];

		if (is_special(file) && !is_parents(r, child, table->entries[i], file))
			return restore_refuse(r, file, err,
					      "is open in the child of a vfork that has not ended, and not so in its "
					      "parent");
	}
	return 0;
}

uint64_t files_lending_room(const struct checked_task *child)
{
	return area_room(child->fds ? child->fds->count : 0, sizeof(struct restorer_take));
}

static int lend_file(const struct restore *r, const struct restore_task *child, const FdinfoEntry *entry,
		     const struct restore_file *file, struct restorer_take *ret)
{
	const bool has_same = is_parents(r, child, entry, file);

	if (!has_same && file->fd < 0)
		return -EBADF;
	*ret = (struct restorer_take){
		.fd = (int)entry->fd,
		.from = has_same ? -1 : file->fd,
		.fd_flags = entry->flags & FD_CLOEXEC ? O_CLOEXEC : 0,
	};
	return 0;
}

static int finish_lent(struct restore *r, struct restore_task *child, struct restore_file *file, int fd,
		       struct error *err)
{
	if (file->first_user != child || file->is_finished)
		return 0;
	file->is_finished = true;
	return restore_finish_file(r, child, file, fd, err);
}

static int lend_directory(struct restore *r, struct restore_task *child, struct error *err)
{
	const FsEntry *fs = child->image->fs, *parents = child->vfork_parent->image->fs;
	AUTO_CLOSE int fd = -1;
	int result;

	child->restorer->umask = fs->has_umask ? fs->umask : parents->umask;
	child->restorer->directory = -1;
	if (fs->cwd_id == parents->cwd_id)
		return 0;
	result = restore_open_directory(r, child, fs->cwd_id, &fd, err);
	if (result < 0)
		return result;
	child->restorer->directory = restore_keep_fd(r, &fd);
	return child->restorer->directory < 0
		   ? error_set(err, child->restorer->directory, "pid %d: keep its working directory", child->pid)
		   : 0;
}

int files_lend(struct restore *r, struct restore_task *child, struct error *err)
{
	const struct checked_fd_table *table = child->image->fds;
	struct restorer_task *restorer = child->restorer;

	for (size_t i = 0; i < table->count; i++) {
		struct restore_file *file = restore_table_files(r, table)[i];
		struct restorer_take *take = &restorer->takes[i];
		int result = lend_file(r, child, table->entries[i], file, take);

		if (result < 0)
			(void)error_set(err, result, "keep the file");
		else
			result = finish_lent(r, child, file, take->from < 0 ? take->fd : take->from, err);
		if (result < 0) {
			error_prefix(err, "pid %d (%s), fd %u", child->pid, restore_comm_of(child->image),
				     table->entries[i]->fd);
			return result;
		}
	}
	restorer->take_count = table->count;
	return lend_directory(r, child, err);
}
