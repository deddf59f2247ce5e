/*
 * The look at all open files of a tree: descriptors and paths are found (fd-tables.c, path-files.c), what is left after
 * merging duplicates is named by its link in /proc, handed to its kind and looked at. Every refusal is gathered.
 */
#include "files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "engine/dump.h"
#include "files/file-facts.h"
#include "files/fuse.h"
#include "files/locks.h"
#include "files/registry.h"
#include "files/write-error.h"
#include "kernel/proc-misc.h"

/* --- names ---------------------------------------------------------------------------------------------------- */

/* Programs open one path many times: files that were named, by inode. */
#define REMEMBERED 64

struct name_memory {
	const struct open_file *files[REMEMBERED];
	int fd_dir; /* /proc/PID/fd of task */
	const struct task *task;
};

static const struct open_file **slot_of(struct name_memory *memory, const struct open_file *file)
{
	return &memory->files[(file->st.st_ino ^ (uint64_t)file->mnt_id << 3) % REMEMBERED];
}

static bool is_same_inode(const struct open_file *a, const struct open_file *b)
{
	return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino && a->mnt_id == b->mnt_id;
}

static bool is_same_path(const struct open_file *a, const struct open_file *b)
{
	if (a->facts && b->facts)
		return a->facts->mount == b->facts->mount && a->facts->entry == b->facts->entry;
	/* An inode that has one name and is opened through one mount has one path. */
	return a->st.st_nlink == 1 && a->mnt_id >= 0;
}

static int copy_name(const struct open_file *known, struct open_file *file)
{
	if (!known || !is_same_inode(known, file) || known->name_state != FILE_NAME_GOOD || !is_same_path(known, file))
		return -ENOENT;
	file->link = strdup(known->link);
	file->name_state = FILE_NAME_GOOD;
	return file->link ? 0 : -ENOMEM;
}

static bool leads_to(const char *path, const struct stat *st)
{
	struct stat found;

	return fstatat(AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_dev == st->st_dev &&
	       found.st_ino == st->st_ino;
}

static enum file_name_state check_name(const struct open_file *file, const struct open_file *known)
{
	if (file->link[0] != '/')
		return FILE_NAME_NONE;
	if (known && is_same_inode(known, file) && !strcmp(known->link, file->link))
		return known->name_state;
	return leads_to(file->link, &file->st) ? FILE_NAME_GOOD : FILE_NAME_GONE;
}

static int name_file(struct open_file *file, struct name_memory *memory)
{
	const struct open_file **slot = slot_of(memory, file);
	char number[16];
	int r;

	if (copy_name(*slot, file) == 0)
		return 0;
	if (memory->task != file->task) {
		close_fd(&memory->fd_dir);
		memory->fd_dir = openat(file->task->procfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (memory->fd_dir < 0)
			return -errno;
		memory->task = file->task;
	}
	(void)snprintf(number, sizeof(number), "%d", file->fd);
	r = proc_read_link(memory->fd_dir, number, &file->link);
	if (r < 0)
		return r;
	file->name_state = check_name(file, *slot);
	*slot = file;
	return 0;
}

/* What is an eventfd is known from its fdinfo, without asking for its link. True: info is that of the file. */
static bool read_ahead(const struct dump *d, struct open_file *file, struct fdinfo *info)
{
	if (file->facts) {
		if (file_facts_is_eventfd(d->file_facts, file->facts))
			file->link = strdup("anon_inode:[eventfd]");
		return false;
	}
	if (file->st.st_dev != d->files->anon_dev || fdinfo_read(file->task->procfd, file->fd, info) < 0)
		return false;
	if (fdinfo_value(info, "eventfd-count"))
		file->link = strdup("anon_inode:[eventfd]");
	return true;
}

static const struct file_kind *find_kind(const struct dump *d, const struct open_file *file)
{
	for (size_t i = 0; file_kinds[i]; i++)
		if (file_kinds[i]->is && file_kinds[i]->is(d, file))
			return file_kinds[i];
	return NULL;
}

static bool needs_link(const struct dump *d, const struct open_file *file)
{
	return !file->link && file->st.st_dev != d->files->pipe_dev &&
	       (!S_ISSOCK(file->st.st_mode) || file->flags & O_PATH);
}

/* Names the file, finds its kind, and lets it take what it needs of fdinfo. Whose link cannot be read is refused later.
 */
static void examine_file(const struct dump *d, struct open_file *file, struct name_memory *memory, struct fdinfo *info)
{
	bool has_info = file->fd >= 0 && read_ahead(d, file, info);

	if (file->fd >= 0 && needs_link(d, file))
		file->read_error = name_file(file, memory);
	if (file->read_error < 0)
		return;
	file->kind = find_kind(d, file);
	if (!file->kind || !file->kind->read)
		return;
	if (file->facts && file->kind->read_facts && file->kind->read_facts(file) == 0)
		return;
	if (!has_info)
		file->read_error = fdinfo_read(file->task->procfd, file->fd, info);
	if (file->read_error == 0)
		file->read_error = file->kind->read(file, info);
}

static void examine_files(void *ctx, size_t begin, size_t end)
{
	struct dump *d = ctx;
	struct name_memory memory = { .fd_dir = -1 };
	AUTO_FDINFO struct fdinfo info = { 0 };

	for (size_t i = begin; i < end; i++)
		examine_file(d, d->files->files[i], &memory, &info);
	close_fd(&memory.fd_dir);
}

/* --- kinds ------------------------------------------------------------------------------------------------- */

static int look_kind(struct dump *d, struct open_file *file, struct error *err)
{
	int r;

	if (file->read_error == -ENAMETOOLONG)
		error_hint(err, "the kernel does not tell paths of more than 4095 bytes: rename what is above it");
	if (file->read_error < 0)
		return open_file_error(file, err, file->read_error, "read its state");
	if (!file->kind)
		return open_file_refuse(file, err, "%s: files of this kind are not supported",
					file->link ? file->link : "file");
	r = file->kind->look ? file->kind->look(d, file, err) : 0;
	return r < 0 ? r : fown_look(d, file, err);
}

static bool has_fanotify(const struct dump *d)
{
	for (size_t i = 0; i < d->files->count; i++)
		if (d->files->files[i]->kind == &fanotify_kind)
			return true;
	return false;
}

/* Those that came out of fanotify, which only a tree with one of these can have. */
static void look_for_event_files(struct dump *d)
{
	for (size_t i = 0; i < d->files->count; i++) {
		struct error reason = { 0 };

		if (event_file_look(d, d->files->files[i], &reason) < 0)
			refusals_add(&d->refusals, &reason);
	}
}

/* When all that others need of the kernel's memory has been asked. */
static void look_for_write_errors(struct dump *d)
{
	for (size_t i = 0; i < d->files->count; i++) {
		struct error reason = { 0 };

		if (write_error_look(d, d->files->files[i], &reason) < 0)
			refusals_add(&d->refusals, &reason);
	}
}

static void look_kinds(struct dump *d)
{
	struct error locks = { 0 };
	int r = locks_look(d, &locks);

	for (size_t i = 0; i < d->files->count; i++) {
		struct error reason = { 0 };

		if (look_kind(d, d->files->files[i], &reason) < 0)
			refusals_add(&d->refusals, &reason);
	}
	if (r < 0)
		refusals_add(&d->refusals, &locks);
}

/* --- the walk ------------------------------------------------------------------------------------------------- */

static int learn_devices(struct file_registry *registry)
{
	AUTO_CLOSE int event = eventfd(0, EFD_CLOEXEC);
	struct stat st;
	int ends[2], r;

	if (event < 0 || fstat(event, &st) < 0)
		return -errno;
	registry->anon_dev = st.st_dev;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	r = fstat(ends[0], &st) < 0 ? -errno : 0;
	registry->pipe_dev = st.st_dev;
	(void)close(ends[0]);
	(void)close(ends[1]);
	return r;
}

int files_look(struct dump *d, struct error *err)
{
	int r;

	d->files = calloc(1, sizeof(*d->files));
	if (!d->files)
		return error_set(err, -ENOMEM, "open files");
	r = learn_devices(d->files);
	if (r < 0)
		return error_set(err, r, "make a pipe and an eventfd to compare with");
	r = fuse_look(d, err);
	if (r == 0)
		r = path_files_look_programs(d, err);
	if (r == 0)
		r = fd_tables_look(d, err);
	if (r < 0)
		return r;
	r = path_files_look_dirs(d, err);
	if (r < 0)
		return r;
	parallel_run(d->files->count, PARALLEL_FROM, examine_files, d);
	look_kinds(d);
	ttys_look(d);
	if (has_fanotify(d))
		look_for_event_files(d);
	look_for_write_errors(d);
	return 0;
}
