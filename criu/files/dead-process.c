/*
 * Files below /proc/PID of a process that has ended while they were open: nothing can be read of them any more, but
 * they are there. At restore a process with that pid lives just long enough for them to be opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/remap-file-path.pb-c.h"
#include "kernel/clone.h"

#define PROC_MAGIC 0x9fa0

/* The pid in "/proc/PID" and what is below it, 0: none. */
static pid_t pid_of(const char *link)
{
	char *end;
	long pid;

	if (strncmp(link, "/proc/", 6) != 0 || link[6] < '1' || link[6] > '9')
		return 0;
	pid = strtol(link + 6, &end, 10);
	return (*end == '/' || *end == ' ' || !*end) && pid <= INT32_MAX ? (pid_t)pid : 0;
}

bool dead_process_look(struct dump *d, struct open_file *file)
{
	pid_t pid = file->link ? pid_of(file->link) : 0;
	struct statfs fs;
	int fd, r;

	if (!pid || kill(pid, 0) == 0 || errno != ESRCH || file->fd < 0)
		return false;
	fd = open_file_local(d, file);
	r = fd < 0 ? fd : fstatfs(fd, &fs);
	open_file_release(d, file);
	if (r < 0 || fs.f_type != PROC_MAGIC)
		return false;
	file->dead_pid = pid;
	return true;
}

/* Such as mountinfo. A restore opens what is of a zombie when it is one. */
int dead_process_look_zombie(struct dump *d, const struct open_file *file, struct error *err)
{
	const pid_t pid = file->link ? pid_of(file->link) : 0;

	for_each_task (d, task) {
		AUTO_CLOSE int fd = -1;

		if (!pid || task->host_pid != pid || !task->is_zombie || file->flags & O_PATH)
			continue;
		fd = open(file->link, (int)(file->flags & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			return 0;
		error_hint(err, "have the parent of process %d wait for it, or the program close the file", pid);
		return open_file_refuse(file, err, "cannot be opened any more: process %d has ended (zombie)", pid);
	}
	return 0;
}

int dead_processes_save(struct dump *d, struct image_writer *remaps, struct error *err)
{
	for (size_t i = 0; i < d->files->count; i++) {
		const struct open_file *file = d->files->files[i];
		RemapFilePathEntry entry = REMAP_FILE_PATH_ENTRY__INIT;
		int r;

		if (!file->dead_pid)
			continue;
		entry.orig_id = file->path_id;
		entry.remap_id = (uint32_t)file->dead_pid;
		entry.has_remap_type = true;
		entry.remap_type = REMAP_TYPE__PROCFS;
		r = image_writer_add(remaps, &entry, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Its end sends no signal: whoever opens files may have handlers for that by now. */
int dead_process_open(pid_t pid, const char *path, uint32_t flags)
{
	const struct clone_request request = { .set_tid = &pid, .set_tid_count = 1 };
	pid_t child = clone_process(&request, NULL);
	int fd;

	if (child < 0)
		return child;
	if (child == 0)
		for (;;)
			(void)pause();
	fd = open(path, (int)flags);
	fd = fd < 0 ? -errno : fd;
	(void)kill(child, SIGKILL);
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
	return fd;
}
