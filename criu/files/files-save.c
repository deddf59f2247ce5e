/* Writing the images of open files: descriptions, tables, directories, ghosts and payloads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/dump.h"
#include "files/files.h"
#include "files/locks.h"
#include "files/registry.h"
#include "images/fs.pb-c.h"
#include "mm/shared-memory.h"

static int save_file(struct dump *d, struct open_file *file, struct error *err)
{
	FileEntry entry = FILE_ENTRY__INIT;
	int r;

	entry.type = file->kind->type;
	entry.id = file->id;
	r = file->kind->save(d, file, &entry, err);
	return r < 0 ? r : image_writer_add(d->files->writer, &entry, err);
}

int files_save_path(struct dump *d, struct open_file *file, struct error *err)
{
	FileEntry entry = FILE_ENTRY__INIT;
	int r = regular_fill(d, file, file->path_id, &entry.reg, err);

	if (r < 0)
		return r;
	entry.type = FD_TYPES__REG;
	entry.id = file->path_id;
	return image_writer_add(d->files->writer, &entry, err);
}

static int save_descriptions(struct dump *d, struct error *err)
{
	for (size_t i = 0; i < d->files->count; i++) {
		int r = d->files->files[i]->needed ? save_file(d, d->files->files[i], err) : 0;

		if (r < 0)
			return r;
	}
	return shared_memory_save_files(d, d->files->writer, err);
}

static int save_remaps(struct dump *d, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	int r;

	image_writer_open(&w, d->set, IMAGE_REMAP_FPATH, 0);
	r = ghosts_save(d, &w, err);
	if (r == 0)
		r = link_remaps_save(d, &w, err);
	if (r == 0)
		r = dead_processes_save(d, &w, err);
	return r < 0 ? r : image_writer_finish(&w, err);
}

static int save_files_image(struct dump *d, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	int r;

	image_writer_open(&w, d->set, IMAGE_FILES, 0);
	d->files->writer = &w;
	r = save_descriptions(d, err);
	if (r == 0)
		r = save_remaps(d, err); /* links have entries of their own */
	if (r == 0)
		r = image_writer_finish(&w, err);
	d->files->writer = NULL;
	return r;
}

static int save_table(struct dump *d, const struct task *task, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;

	image_writer_open(&w, d->set, IMAGE_FDINFO, task->files_id);
	for (size_t i = 0; i < task->fd_count; i++) {
		const struct task_fd *fd = &task->fds[i];
		FdinfoEntry entry = FDINFO_ENTRY__INIT;
		int r;

		entry.id = fd->file->id;
		entry.flags = fd->close_on_exec ? FD_CLOEXEC : 0;
		entry.type = fd->file->kind->type;
		entry.fd = (uint32_t)fd->fd;
		r = image_writer_add(&w, &entry, err);
		if (r < 0)
			return r;
	}
	return image_writer_finish(&w, err);
}

static int save_fs(struct dump *d, const struct task *task, struct error *err)
{
	FsEntry entry = FS_ENTRY__INIT;

	entry.cwd_id = task->cwd->id;
	entry.root_id = task->root->id;
	entry.has_umask = task->threads[0].status.umask != (typeof(task->threads[0].status.umask))-1;
	entry.umask = (uint32_t)task->threads[0].status.umask;
	return image_write_one(d->set, IMAGE_FS, (uint64_t)task_id_own(&task->id), &entry, err);
}

int files_save_task(struct dump *d, const struct task *task, struct error *err)
{
	int r = task->files_owner == task ? save_table(d, task, err) : 0;

	return r < 0 ? r : save_fs(d, task, err);
}

int files_save(struct dump *d, struct error *err)
{
	int r = save_files_image(d, err);

	if (r == 0)
		r = ttys_save(d, err);
	if (r == 0)
		r = pipes_save_data(d, err);
	if (r == 0)
		r = fifos_save_data(d, err);
	if (r == 0)
		r = locks_save(d, err);
	for (size_t i = 0; i < d->files->count; i++)
		close_fd(&d->files->files[i]->local_fd);
	return r;
}
