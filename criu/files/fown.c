/*
 * The signal owner of a file: whom SIGIO or the signal of F_SETSIG is sent to (F_SETOWN_EX), and with whose rights. The
 * kernel remembers the user ids of whoever set the owner, so they are put on for that one call.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/dump.h"
#include "engine/restore.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "image/image-check.h"
#include "kernel/missing-fs.h"
#include "kernel/pidfd.h"

void fown_read(int fd, struct file_signal_owner *ret)
{
	struct f_owner_ex owner;
	uint32_t uids[2];

	ret->signal = fcntl(fd, F_GETSIG);
	if (ret->signal < 0)
		ret->signal = 0;
	if (fcntl(fd, F_GETOWN_EX, &owner) < 0)
		return;
	/* Of an owner that has ended this is left. */
	ret->type = owner.type;
	if (owner.pid == 0)
		return;
	ret->pid = owner.pid;
	if (fcntl(fd, F_GETOWNER_UIDS, uids) == 0) {
		ret->uid = uids[0];
		ret->euid = uids[1];
	}
}

static pid_t own_pid_of(const struct dump *d, const struct file_signal_owner *owner)
{
	for_each_task (d, task) {
		if (task->host_pid == owner->pid)
			return task_id_own(&task->id);
		for (size_t i = 0; owner->type == F_OWNER_TID && i < task->thread_count; i++)
			if (task->threads[i].tid == owner->pid)
				return task_id_own(&task->threads[i].id);
	}
	return 0;
}

/* A group lives on after its leader: it is of the tree when a task of the tree is in it. */
static bool is_group_of_tree(const struct dump *d, pid_t pgid)
{
	for_each_task (d, task)
		if (task->stat.pgid == pgid)
			return true;
	return false;
}

int fown_look(struct dump *d, struct open_file *file, struct error *err)
{
	const struct file_signal_owner *owner = &file->owner;

	/* Nothing else of a directory sends a signal, and what is watched is shown nowhere. */
	if (owner->pid && S_ISDIR(file->st.st_mode)) {
		error_hint(err, "have the program close it before the dump, or use inotify");
		return open_file_refuse(file, err, "is watched by F_NOTIFY (dnotify), which the kernel does not show");
	}
	if (owner->pid == 0 || own_pid_of(d, owner) || (owner->type == F_OWNER_PGRP && is_group_of_tree(d, owner->pid)))
		return 0;
	error_hint(err, "dump the tree together with process %d", owner->pid);
	return open_file_refuse(file, err, "its signals go to process %d, which is not of the tree", owner->pid);
}

FownEntry *fown_save(struct dump *d, const struct open_file *file)
{
	FownEntry *entry = files_scratch(d, sizeof(*entry));

	if (!entry)
		return NULL;
	fown_entry__init(entry);
	entry->signum = (uint32_t)file->owner.signal;
	entry->pid_type = (uint32_t)file->owner.type;
	if (file->owner.pid) {
		pid_t own = own_pid_of(d, &file->owner);

		entry->pid = (uint32_t)(own ? own : file->owner.pid);
		entry->uid = file->owner.uid;
		entry->euid = file->owner.euid;
	}
	return entry;
}

/* Only of the calling thread: the C library's functions would change all of them. */
static int set_user_ids(uid_t uid, uid_t euid)
{
	return syscall(SYS_setresuid, uid, euid, (uid_t)-1) < 0 ? -errno : 0;
}

static int set_owner(const FownEntry *owner, int fd)
{
	struct f_owner_ex target = { .type = (int)owner->pid_type, .pid = (pid_t)owner->pid };
	uid_t uid = getuid(), euid = geteuid();
	bool change = owner->pid && (owner->uid != uid || owner->euid != euid);
	int r;

	if (change) {
		r = set_user_ids(owner->uid, owner->euid);
		if (r < 0)
			return r;
	}
	r = fcntl(fd, F_SETOWN_EX, &target) < 0 ? -errno : 0;
	if (change) {
		/* Effective first: without it the real one could not be set. The saved one was kept. */
		int back = syscall(SYS_setresuid, (uid_t)-1, euid, (uid_t)-1) < 0 ? -errno : set_user_ids(uid, euid);

		if (r == 0)
			r = back;
	}
	return r;
}

static const FownEntry *owner_of(const struct restore *r, const struct restore_file *file)
{
	uint32_t flags;

	if (file->kind->owner)
		return file->kind->owner(file->entry, &flags);
	if (file->entry->type != FD_TYPES__FIFO)
		return NULL;
	file = restore_find_file(r, FD_TYPES__REG, file->entry->fifo->regf_id);
	return file ? file->entry->reg->fown : NULL;
}

static bool is_of_set(const struct restore *r, const FownEntry *owner)
{
	const struct checked_set *cs = r->images;

	if (owner->pid_type != F_OWNER_PGRP && checked_set_find_task(cs, owner->pid))
		return true;
	for (size_t i = 0; i < cs->task_count; i++) {
		const PstreeEntry *entry = cs->tasks[i].entry;

		if (owner->pid_type == F_OWNER_PGRP && (entry->pgid == owner->pid || entry->sid == owner->pid))
			return true;
		for (size_t k = 0; owner->pid_type == F_OWNER_TID && k < entry->n_threads; k++)
			if (entry->threads[k] == owner->pid)
				return true;
	}
	return false;
}

int fown_check(struct restore *r, const struct restore_file *file, struct error *err)
{
	const FownEntry *owner = file->first_user ? owner_of(r, file) : NULL;
	pid_t pid;

	if (!owner || !owner->pid || is_of_set(r, owner))
		return 0;
	/* Others may have dumped a tree whose signals go to a process outside. */
	pid = owner->pid_type == F_OWNER_PGRP ? -(pid_t)owner->pid : (pid_t)owner->pid;
	if (owner->pid > 1 && (kill(pid, 0) == 0 || errno != ESRCH))
		return 0;
	return restore_refuse(r, file, err, "its signals go to process %u, which is neither in the images nor here",
			      owner->pid);
}

/* Only the first thread of a process is there when files are finished. */
static bool is_later_thread(const struct restore *r, const FownEntry *owner)
{
	return owner->pid && owner->pid_type == F_OWNER_TID && !checked_set_find_task(r->images, owner->pid);
}

int fown_restore(struct restore *r, const FownEntry *owner, uint32_t flags, int fd, struct error *err)
{
	int result;

	if (owner->signum && fcntl(fd, F_SETSIG, (int)owner->signum) < 0)
		return error_set(err, -errno, "set its signal %u", owner->signum);
	if ((owner->pid || owner->pid_type) && !is_later_thread(r, owner)) {
		result = set_owner(owner, fd);
		if (result < 0)
			return error_set(err, result, "set its signal owner %u", owner->pid);
	}
	if (flags & O_ASYNC) {
		int now = fcntl(fd, F_GETFL);

		if (now < 0 || fcntl(fd, F_SETFL, now | O_ASYNC) < 0)
			return error_set(err, -errno, "set O_ASYNC");
	}
	return 0;
}

static int set_thread(const struct restore_file *file, const FownEntry *owner)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(file->first_user->pid);
	AUTO_CLOSE int fd = pidfd < 0 ? pidfd : pidfd_getfd_from(pidfd, file->first_fd);

	return fd < 0 ? fd : set_owner(owner, fd);
}

int files_own_by_threads(struct restore *r, struct error *err)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const struct restore_file *file = r->files[i];
		const FownEntry *owner = file->first_user ? owner_of(r, file) : NULL;
		char place[256];
		int result;

		if (!owner || !is_later_thread(r, owner))
			continue;
		result = set_thread(file, owner);
		if (result < 0)
			return error_set(err, result, "%s: set its signal owner, thread %u",
					 restore_describe(r, file, place, sizeof(place)), owner->pid);
	}
	return 0;
}

int fown_restore_again(struct restore *r, struct restore_file *file, int fd, struct error *err)
{
	const FownEntry *owner = owner_of(r, file);

	return owner ? fown_restore(r, owner, 0, fd, err) : 0;
}
