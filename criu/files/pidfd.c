/*
 * Pidfds. Each stands for a process of the tree, or for one that has ended. It can only be opened when all processes
 * are there: until then its number is kept by something else. For a process that has ended a new one is made and ends.
 *
 * Pidfds of processes outside of the tree cannot be saved: after the restore their number may be anybody's. Those of
 * threads (PIDFD_THREAD) are left to the restorer, see thread-files.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/dump.h"
#include "files/file-kinds.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "files/thread-files.h"
#include "images/pidfd.pb-c.h"
#include "kernel/clone.h"
#include "kernel/missing-pidfd.h"
#include "kernel/pidfd.h"

#define DEAD (-1)

static bool is_pidfd(const struct dump *d, const struct open_file *file)
{
	return file->link && !strcmp(file->link, "anon_inode:[pidfd]");
}

/* The process's own pid, 0 when it is not of the tree. */
static int own_pid(const struct dump *d, pid_t pid)
{
	for_each_task (d, task)
		if (task->host_pid == pid)
			return task_id_own(&task->id);
	return 0;
}

static int read_pidfd(struct open_file *file, const struct fdinfo *info)
{
	const char *pid = fdinfo_value(info, "Pid");
	int *data = calloc(1, sizeof(*data));

	file->kind_data = data;
	if (!data || !pid)
		return data ? -EINVAL : -ENOMEM;
	*data = atoi(pid);
	return 0;
}

/* From the pid that we see to the one that means the process to itself. */
static int look_pidfd(struct dump *d, struct open_file *file, struct error *err)
{
	int *pid = file->kind_data, seen = *pid;

	if (seen == DEAD)
		return 0;
	*pid = own_pid(d, seen);
	if (*pid)
		return 0;
	if (thread_is_of_tree(d, seen)) {
		*pid = seen;
		return thread_file_look(d, file, seen, err);
	}
	return open_file_refuse(file, err, "stands for process %d, which is not of the tree", seen);
}

bool pidfd_is_of_thread(const struct dump *d, const struct open_file *file)
{
	return file->kind == &pidfd_kind && thread_is_of_tree(d, *(const int *)file->kind_data);
}

static int save_pidfd(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	PidfdEntry *pidfd = files_scratch(d, sizeof(*pidfd));

	if (!pidfd)
		return open_file_error(file, err, -ENOMEM, "save");
	pidfd_entry__init(pidfd);
	pidfd->id = file->id;
	pidfd->ino = (uint32_t)file->st.st_ino;
	pidfd->flags = file->flags & ~(uint32_t)O_RDWR;
	pidfd->nspid = *(const int *)file->kind_data;
	pidfd->fown = fown_save(d, file);
	if (!pidfd->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->pidfd = pidfd;
	return 0;
}

static bool is_restored(const struct restore *r, const PidfdEntry *pidfd)
{
	for (size_t i = 0; i < r->images->task_count; i++) {
		const struct checked_task *task = &r->images->tasks[i];

		if (task->thread_count && task->threads[0].tid == (uint32_t)pidfd->nspid)
			return true;
	}
	return false;
}

static int check_pidfd(struct restore *r, struct restore_file *file, struct error *err)
{
	const PidfdEntry *pidfd = file->entry->pidfd;

	file->is_late = true;
	if (pidfd->nspid != DEAD && pidfd->flags & PIDFD_THREAD && !is_restored(r, pidfd))
		return thread_file_check(r, file, pidfd->nspid, err);
	if (pidfd->nspid != DEAD && !is_restored(r, pidfd))
		return restore_refuse(r, file, err, "a pidfd stands for process %d, which is not in the images",
				      pidfd->nspid);
	return 0;
}

static int open_pidfd(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	*ret_fd = restore_open_placeholder(file);
	return *ret_fd < 0 ? error_set(err, *ret_fd, "open /") : 0;
}

/* Nobody is told of this child's end. */
static int pidfd_of_dead(void)
{
	const struct clone_request request = { .exit_signal = 0 };
	AUTO_CLOSE int fd = -1;
	pid_t child = clone_process(&request, &fd);

	if (child < 0)
		return child;
	if (child == 0)
		_exit(0);
	if (waitpid(child, NULL, __WALL) < 0)
		return -errno;
	return take_fd(&fd);
}

static int finish_pidfd(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			struct error *err)
{
	const PidfdEntry *pidfd = file->entry->pidfd;
	AUTO_CLOSE int opened = -1;
	int result;

	if (pidfd->nspid == DEAD)
		opened = pidfd_of_dead();
	else if (pidfd->flags & PIDFD_THREAD)
		opened = pidfd_open_tid(pidfd->nspid);
	else
		opened = pidfd_open_pid(pidfd->nspid);
	if (opened < 0)
		return error_set(err, opened, "fd %d: pidfd of process %d", file->first_fd, pidfd->nspid);
	if (pidfd->flags & O_NONBLOCK && fcntl(opened, F_SETFL, O_NONBLOCK) < 0)
		return error_set(err, -errno, "fd %d: pidfd of process %d", file->first_fd, pidfd->nspid);
	result = restore_replace_fd(r, task, file, take_fd(&opened));
	return result < 0 ? error_set(err, result, "fd %d: put the pidfd in place", file->first_fd) : 0;
}

static const FownEntry *pidfd_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->pidfd->flags;
	return entry->pidfd->fown;
}

const struct file_kind pidfd_kind = {
	.name = "pidfd",
	.type = FD_TYPES__PIDFD,
	.is = is_pidfd,
	.read = read_pidfd,
	.look = look_pidfd,
	.save = save_pidfd,
	.check = check_pidfd,
	.open = open_pidfd,
	.finish = finish_pidfd,
	.owner = pidfd_owner,
};
