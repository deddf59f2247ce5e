/*
 * Pidfds. Each stands for a process of the tree, or for one that has ended. It can only be opened when all processes
 * are there: until then its number is kept by something else. For a process that has ended a new one is made and ends
 * as that did, as far as the kernel tells (PIDFD_INFO_EXIT).
 *
 * Pidfds of processes outside of the tree cannot be saved: after the restore their number may be anybody's. Those of
 * threads (PIDFD_THREAD) are left to the restorer, see thread-files.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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
#include "task/restore-zombie.h"

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
	error_hint(err, "dump the tree together with process %d, or have the program close it before the dump", seen);
	return open_file_refuse(file, err, "stands for process %d, which is not of the tree", seen);
}

bool pidfd_is_of_thread(const struct dump *d, const struct open_file *file)
{
	return file->kind == &pidfd_kind && thread_is_of_tree(d, *(const int *)file->kind_data);
}

static void save_end(struct dump *d, struct open_file *file, PidfdEntry *pidfd)
{
	int fd = open_file_local(d, file), status;

	if (fd >= 0 && pidfd_exit_status(fd, &status) == 0) {
		pidfd->has_exit_status = true;
		pidfd->exit_status = (uint32_t)status;
	}
	open_file_release(d, file);
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
	if (pidfd->nspid == DEAD)
		save_end(d, file, pidfd);
	pidfd->fown = fown_save(d, file);
	if (!pidfd->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->pidfd = pidfd;
	return 0;
}

static bool is_restored(const struct restore *r, const PidfdEntry *pidfd)
{
	return checked_set_find_task(r->images, (uint32_t)pidfd->nspid) != NULL;
}

static int check_pidfd(struct restore *r, struct restore_file *file, struct error *err)
{
	const PidfdEntry *pidfd = file->entry->pidfd;
	bool is_first;

	file->is_late = true;
	if (pidfd->nspid == DEAD)
		return restore_join_group(r, file, pidfd->ino, sizeof(pidfd->ino), &is_first, err);
	if (pidfd->flags & PIDFD_THREAD && !is_restored(r, pidfd))
		return thread_file_check(r, file, pidfd->nspid, err);
	if (!is_restored(r, pidfd))
		return restore_refuse(r, file, err, "a pidfd stands for process %d, which is not in the images",
				      pidfd->nspid);
	return 0;
}

static int open_pidfd(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	*ret_fd = restore_open_placeholder(file);
	return *ret_fd < 0 ? error_set(err, *ret_fd, "open /") : 0;
}

static int status_of(const PidfdEntry *pidfd)
{
	return pidfd->has_exit_status ? (int)(pidfd->exit_status & 0xff7f) : 0;
}

static int end_in_our_memory(void *status)
{
	restore_zombie_end(*(int *)status);
}

/*
 * Copying the descriptor table, or the memory, would take longer than all else; but a process that a signal ends needs
 * memory of its own, for that it dumped a core is not repeated. Nobody is told of this child's end.
 */
static pid_t make_ended(const PidfdEntry *pidfd)
{
	const struct clone_request request = { .flags = CLONE_FILES };
	_Alignas(16) char stack[16384];
	int status = status_of(pidfd);
	pid_t child;

	if (WIFEXITED(status)) {
		child = clone(end_in_our_memory, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES, &status);
		return child < 0 ? -errno : child;
	}
	child = clone_process(&request, NULL);
	if (child == 0) {
		(void)prctl(PR_SET_DUMPABLE, 0);
		restore_zombie_end(status);
	}
	return child;
}

static int put_in_place(struct restore *r, struct restore_task *task, struct restore_file *file, int opened,
			struct error *err)
{
	const PidfdEntry *pidfd = file->entry->pidfd;
	int result;

	if (opened >= 0 && pidfd->flags & O_NONBLOCK && fcntl(opened, F_SETFL, O_NONBLOCK) < 0) {
		int reason = -errno;

		(void)close(opened);
		opened = reason;
	}
	if (opened < 0)
		return error_set(err, opened, "fd %d: pidfd of process %d", file->first_fd, pidfd->nspid);
	result = restore_replace_fd(r, task, file, opened);
	return result < 0 ? error_set(err, result, "fd %d: put the pidfd in place", file->first_fd) : 0;
}

/* All that this task has of one dead process, for their inode is one: a child has ended, and was not waited for yet. */
static int open_all_of(struct restore *r, struct restore_task *task, struct restore_file *file, pid_t child,
		       struct error *err)
{
	struct restore_file *other = file;
	int result = 0;

	do {
		if (other->first_user == file->first_user) {
			other->is_finished = true;
			result = put_in_place(r, task, other,
					      other->entry->pidfd->flags & PIDFD_THREAD ? pidfd_open_tid(child)
											: pidfd_open_pid(child),
					      err);
		}
		other = other->group_next;
	} while (other != file && result == 0);
	return result;
}

static int finish_dead(struct restore *r, struct restore_task *task, struct restore_file *file, struct error *err)
{
	pid_t child = make_ended(file->entry->pidfd);
	siginfo_t info;
	int result;

	if (child < 0)
		return error_set(err, child, "fd %d: make a process that ends", file->first_fd);
	if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT | __WALL) < 0)
		return error_set(err, -errno, "fd %d: wait for the process that ends", file->first_fd);
	result = open_all_of(r, task, file, child, err);
	(void)waitpid(child, NULL, __WALL);
	return result;
}

static int finish_pidfd(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			struct error *err)
{
	const PidfdEntry *pidfd = file->entry->pidfd;

	if (pidfd->nspid == DEAD)
		return finish_dead(r, task, file, err);
	return put_in_place(r, task, file,
			    pidfd->flags & PIDFD_THREAD ? pidfd_open_tid(pidfd->nspid) : pidfd_open_pid(pidfd->nspid),
			    err);
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
