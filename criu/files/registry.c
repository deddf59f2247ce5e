/*
 * The files of a tree while it is dumped, and what their kinds share: descriptors of ours, sentences, memory for
 * messages.
 */
#include "files/file-facts.h"
#include "files/opener.h"
#include "files/registry.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/locks.h"
#include "kernel/bpf-files.h"
#include "kernel/kernel-memory.h"
#include "kernel/pidfd.h"
#include "kernel/proc-misc.h"

static const char deleted_suffix[] = " (deleted)", ghost_suffix[] = ".ghost";

int registry_add(struct dump *d, struct open_file *file, struct error *err)
{
	struct file_registry *registry = d->files;

	if (array_reserve(&registry->files, &registry->capacity, registry->count, sizeof(struct open_file *)) < 0)
		return error_set(err, -ENOMEM, "open files");
	file->id = file->path_id = ++d->next_file_id;
	registry->files[registry->count++] = file;
	return 0;
}

struct open_file *registry_new_files(struct file_registry *registry, size_t count)
{
	struct open_file *files;

	if (array_reserve(&registry->chunks, &registry->chunk_capacity, registry->chunk_count,
			  sizeof(struct open_file *)) < 0)
		return NULL;
	files = calloc(count + 1, sizeof(*files));
	if (!files)
		return NULL;
	registry->chunks[registry->chunk_count++] = files;
	return files;
}

int open_file_local(struct dump *d, struct open_file *file)
{
	if (file->local_fd >= 0)
		return file->local_fd;
	if (file->fd < 0)
		return -EBADF;
	file->local_fd = pidfd_getfd_from(file->task->acting_pidfd, file->fd);
	return file->local_fd;
}

void open_file_release(struct dump *d, struct open_file *file)
{
	if (!d->files->keep_local)
		close_fd(&file->local_fd);
}

int open_file_reopen(struct dump *d, struct open_file *file, int flags)
{
	if (file->fd >= 0)
		return proc_open_fd(file->task->procfd, file->fd, flags | O_CLOEXEC);
	if (file->map_end)
		return proc_open_map(file->task->procfd, file->map_start, file->map_end, flags | O_CLOEXEC);
	if (file == file->task->exe)
		return proc_open_link(file->task->procfd, "exe", flags | O_CLOEXEC);
	if (file == file->task->cwd)
		return proc_open_link(file->task->procfd, "cwd", flags | O_CLOEXEC);
	return proc_open_link(file->task->procfd, "root", flags | O_CLOEXEC);
}

/* A copy of a descriptor that may be read from. */
static int borrow(struct dump *d, struct open_file *file)
{
	int fd = (file->flags & O_ACCMODE) == O_WRONLY ? -EWOULDBLOCK : open_file_local(d, file);

	if (fd >= 0) {
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fd;
		open_file_release(d, file);
	}
	return fd;
}

static int open_content(struct dump *d, struct open_file *file, int flags)
{
	struct open_file *leased = locks_lease_on(d, file);
	int fd;

	if (leased)
		return borrow(d, leased);
	flags |= O_RDONLY | O_NOCTTY | O_NONBLOCK;
	if (file->name_state != FILE_NAME_GOOD)
		return open_file_reopen(d, file, flags);
	fd = open(file->link, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int open_file_content(struct dump *d, struct open_file *file)
{
	int fd = open_content(d, file, O_NOATIME);

	return fd == -EPERM ? open_content(d, file, 0) : fd;
}

struct file_device *open_file_device(struct dump *d, const struct open_file *file)
{
	struct file_registry *registry = d->files;
	struct file_device *device;
	struct statfs fs;
	char path[64];

	for (size_t i = 0; i < registry->device_count && i < ARRAY_SIZE(registry->devices); i++)
		if (registry->devices[i].dev == file->st.st_dev)
			return &registry->devices[i];
	device = &registry->devices[registry->device_count++ % ARRAY_SIZE(registry->devices)];
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", file->task->host_pid, file->fd);
	*device = (struct file_device){
		.dev = file->st.st_dev,
		.magic = statfs(path, &fs) == 0 ? (unsigned long)fs.f_type : 0,
	};
	return device;
}

bool file_device_has_disk(const struct file_device *device)
{
	static const uint32_t others[] = {
		TMPFS_MAGIC,        RAMFS_MAGIC,         HUGETLBFS_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC,
		CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,   TRACEFS_MAGIC,    SECURITYFS_MAGIC,
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (device->magic == others[i])
			return false;
	return true;
}

bool file_device_is_overlay(const struct file_device *device)
{
	return device->magic == OVERLAYFS_SUPER_MAGIC;
}

/* Of a tree that runs on a table may be another one at the next call. */
int open_file_address(struct dump *d, const struct open_file *file, struct kernel_memory *km, uint64_t *ret)
{
	struct file_registry *registry = d->files;
	int r;

	if (file->facts) {
		*ret = file->facts->id;
		return 0;
	}
	if (registry->located_task != file->task || d->is_live) {
		registry->located_task = NULL;
		r = kernel_memory_table(km, file->task->pidfd, &registry->located_table);
		if (r < 0)
			return r;
		registry->located_task = file->task;
	}
	return kernel_memory_table_file(km, registry->located_table, file->fd, ret);
}

bool link_is_deleted(const char *link)
{
	size_t length = strlen(link), suffix = strlen(deleted_suffix);

	return length > suffix && !strcmp(link + length - suffix, deleted_suffix);
}

/* ".cr.ID.ghost": what restores append to the name of an inode that has none. It must not grow with each of them. */
static void cut_ghost_suffix(char *path)
{
	size_t length = strlen(path), suffix = strlen(ghost_suffix);
	char *at;

	if (length <= suffix || strcmp(path + length - suffix, ghost_suffix) != 0)
		return;
	at = path + length - suffix;
	while (at > path && isxdigit((unsigned char)at[-1]))
		at--;
	if (at > path + 4 && !strncmp(at - 4, ".cr.", 4) && at[-5] != '/')
		at[-4] = '\0';
}

char *open_file_path(struct dump *d, const struct open_file *file)
{
	char *path = arena_strdup(&d->files->scratch, file->link);

	if (path && file->name_state == FILE_NAME_GONE && link_is_deleted(path)) {
		path[strlen(path) - strlen(deleted_suffix)] = '\0';
		cut_ghost_suffix(path);
	}
	return path;
}

static void describe_place(const struct open_file *file, char *buffer, size_t bytes)
{
	const struct task *task = file->task;

	if (file->fd >= 0)
		(void)snprintf(buffer, bytes, TASK_FORMAT ", fd %d", TASK_ARGS(task), file->fd);
	else if (file->map_end)
		(void)snprintf(buffer, bytes, TASK_FORMAT ", mapping %llx-%llx", TASK_ARGS(task),
			       (unsigned long long)file->map_start, (unsigned long long)file->map_end);
	else
		(void)snprintf(buffer, bytes, TASK_FORMAT ", %s", TASK_ARGS(task),
			       file == task->exe   ? "program"
			       : file == task->cwd ? "working directory"
						   : "root directory");
}

const char *open_file_describe(const struct open_file *file, char *buffer, size_t bytes)
{
	size_t used;

	describe_place(file, buffer, bytes);
	used = strlen(buffer);
	if (file->name_state != FILE_NAME_NONE && file->link)
		(void)snprintf(buffer + used, bytes - used, ", %s", file->link);
	else if (file->kind)
		(void)snprintf(buffer + used, bytes - used, ", %s", file->kind->name);
	return buffer;
}

int open_file_refuse(const struct open_file *file, struct error *err, const char *format, ...)
{
	char place[ERROR_WHOLE_BYTES], reason[ERROR_WHOLE_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return error_say(err, -ENOTSUP, "%s: %s", open_file_describe(file, place, sizeof(place)), reason);
}

int open_file_error(const struct open_file *file, struct error *err, int r, const char *what)
{
	char place[ERROR_WHOLE_BYTES];

	return error_set(err, r, "%s: %s", open_file_describe(file, place, sizeof(place)), what);
}

void *files_scratch(struct dump *d, size_t bytes)
{
	return arena_alloc(&d->files->scratch, bytes);
}

void files_free(struct dump *d)
{
	struct file_registry *registry = d->files;

	file_facts_free(d->file_facts);
	d->file_facts = NULL;
	if (!registry)
		return;
	for (size_t i = 0; i < registry->count; i++) {
		struct open_file *file = registry->files[i];

		close_fd(&file->local_fd);
		free(file->link);
		free(file->kind_data);
		opener_free(file);
	}
	openers_free(registry->openers);
	free(registry->event_mode);
	ghosts_free(d);
	link_remaps_free(d);
	locks_free(d);
	path_files_free(d);
	ttys_free(d);
	for (size_t i = 0; i < registry->chunk_count; i++)
		free(registry->chunks[i]);
	free(registry->pipes);
	free(registry->fifos);
	free(registry->watches);
	free(registry->chunks);
	free(registry->files);
	free(registry->hashed);
	arena_done(&registry->scratch);
	free(registry);
	d->files = NULL;
	for_each_task (d, task) {
		free(task->fds);
		task->fds = NULL;
		free(task->vma_files);
		task->vma_files = NULL;
	}
}
