/*
 * A mapping keeps the locks of its description when all descriptors of that are closed. One of flock(2) is kept if a
 * single process has the mapping, as each JVM has one: its restore locks what it makes the mapping from, and closes
 * that. Others are refused: whose they are nobody tells, unless descriptors outside of the tree show them.
 *
 * Asked for are files that are shared and may be written, of which nobody has a descriptor: for those, and no library,
 * locale or semaphore of a pool is among them, the list of all locks is worth its time.
 */
#include "files/mapped-locks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "kernel/proc-fdinfo.h"
#include "kernel/proc-list.h"
#include "kernel/proc-locks.h"
#include "kernel/proc-pid.h"

static bool has_descriptors(const struct dump *d, const struct open_file *mapped)
{
	for (size_t i = 0; i < d->files->count; i++) {
		const struct open_file *file = d->files->files[i];

		if (file->fd >= 0 && file->st.st_ino == mapped->st.st_ino && file->st.st_dev == mapped->st.st_dev)
			return true;
	}
	return false;
}

static bool is_of_tree(const struct dump *d, pid_t pid)
{
	for_each_task (d, task)
		if (task->host_pid == pid)
			return true;
	return false;
}

static bool is_same_lock(const struct proc_lock *a, const struct proc_lock *b)
{
	return !strcmp(a->kind, b->kind) && !strcmp(a->access, b->access) && a->major == b->major &&
	       a->minor == b->minor && a->inode == b->inode && a->start == b->start && !strcmp(a->end, b->end);
}

static bool has_lock(pid_t pid, const struct proc_lock *lock)
{
	AUTO_CLOSE int procfd = proc_open(pid);
	AUTO_FREE int *fds = NULL;
	size_t count = 0;

	if (procfd < 0 || proc_list_fds(procfd, &fds, &count) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		AUTO_FDINFO struct fdinfo info = { 0 };
		struct proc_lock line;
		const char *text;

		if (fdinfo_read(procfd, fds[i], &info) < 0 || !info.has_locks)
			continue;
		for (size_t at = 0; (text = fdinfo_next(&info, "lock", &at));)
			if (proc_lock_parse(text, &line) == 0 && is_same_lock(&line, lock))
				return true;
	}
	return false;
}

/* Only descriptors tell whose an open file description lock is: one of a process that is not of the tree. */
static bool is_strangers(const struct proc_lock *lock)
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && has_lock(atoi(entry->d_name), lock))
			return true;
	return false;
}

/* Without a name or a descriptor nobody can ask for a lock any more. */
static bool can_keep(const struct dump *d, const struct open_file *file)
{
	return file->map_end && file->map_writable && S_ISREG(file->st.st_mode) && file->st.st_nlink > 0 &&
	       !has_descriptors(d, file);
}

/* A record lock is given up with the descriptor. */
static bool is_kept_by(const struct dump *d, const struct open_file *mapped, const struct proc_lock *line)
{
	return mapped->st.st_ino == line->inode && (dev_t)mapped->serial == makedev(line->major, line->minor) &&
	       strcmp(line->kind, "POSIX") != 0 && (line->pid <= 0 || is_of_tree(d, line->pid)) && can_keep(d, mapped);
}

/* NULL: several have it, and whether by one description nobody tells. */
static const struct task *only_user_of_mapping(const struct dump *d, const struct open_file *mapped)
{
	const struct task *user = NULL;

	for_each_task (d, task)
		for (size_t i = 0; task->vma_files && i < task->maps.count; i++) {
			const struct open_file *file = task->vma_files[i];

			if (!file || file->st.st_ino != mapped->st.st_ino || file->st.st_dev != mapped->st.st_dev)
				continue;
			if (user && user != task)
				return NULL;
			user = task;
		}
	return user;
}

static bool keep_flock(const struct dump *d, struct open_file *mapped, const struct proc_lock *line)
{
	if (strcmp(line->kind, "FLOCK") != 0 || line->pid <= 0)
		return false;
	mapped->kept_by = only_user_of_mapping(d, mapped);
	mapped->kept_flock = !mapped->kept_by ? 0 : strcmp(line->access, "WRITE") == 0 ? LOCK_EX : LOCK_SH;
	return mapped->kept_by;
}

static int refuse_kept(const struct open_file *mapped, const struct proc_lock *line, struct error *err)
{
	error_hint(err, "have the program keep its descriptor open, or unlock it before the dump");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ", mapping %llx-%llx, %s: a lock (%s) is held by what is mapped alone, whose "
				     "descriptor is closed",
			 TASK_ARGS(mapped->task), (unsigned long long)mapped->map_start,
			 (unsigned long long)mapped->map_end, mapped->link, line->kind);
}

static int look_at_line(const struct dump *d, const char *text, struct error *err)
{
	struct proc_lock line;

	if (proc_lock_parse(text, &line) < 0)
		return 0;
	for (size_t i = 0; i < d->files->count; i++) {
		struct open_file *file = d->files->files[i];

		if (!is_kept_by(d, file, &line))
			continue;
		if (line.pid <= 0 && is_strangers(&line))
			return 0;
		return keep_flock(d, file, &line) ? 0 : refuse_kept(file, &line, err);
	}
	return 0;
}

int mapped_locks_look(const struct dump *d, struct error *err)
{
	AUTO_BUFFER struct buffer text = { 0 };
	char *state = NULL;
	bool is_any = false;
	int r = 0;

	for (size_t i = 0; i < d->files->count && !is_any; i++)
		is_any = can_keep(d, d->files->files[i]);
	if (!is_any || buffer_read_at(&text, AT_FDCWD, "/proc/locks") < 0)
		return 0;
	for (char *at = strtok_r(text.data, "\n", &state); at && r == 0; at = strtok_r(NULL, "\n", &state))
		r = look_at_line(d, at, err);
	return r;
}
