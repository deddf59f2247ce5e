/*
 * Named pipes. A fifo is a path with flags, which is an entry of its own that the fifo's entry refers to, and a pipe
 * behind it; content and capacity go to fifo-data.img. At restore a descriptor that both reads and writes holds the
 * pipe while its descriptions are opened, so that none of them waits for another.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/pipe-buffer.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/fifo.pb-c.h"

/* --- dump ----------------------------------------------------------------------------------------------------- */

static bool is_fifo(const struct dump *d, const struct open_file *file)
{
	return S_ISFIFO(file->st.st_mode) && file->st.st_dev != d->files->pipe_dev && !(file->flags & O_PATH);
}

static bool is_same_fifo(const struct open_file *a, const struct open_file *b)
{
	return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
}

/* The image joins fifos by 32 bits of the inode number alone. */
static int check_number(struct dump *d, const struct open_file *file, struct error *err)
{
	for (size_t i = 0; d->files->files[i] != file; i++) {
		const struct open_file *other = d->files->files[i];

		if (other->kind == &fifo_kind && (uint32_t)other->st.st_ino == (uint32_t)file->st.st_ino &&
		    !is_same_fifo(other, file))
			return open_file_refuse(file, err, "%s has the same inode number on another filesystem",
						other->link);
	}
	return 0;
}

static int look_fifo(struct dump *d, struct open_file *file, struct error *err)
{
	int r = check_number(d, file, err);

	if (r < 0)
		return r;
	file->path_id = ++d->next_file_id;
	return regular_look(d, file, err);
}

static int save_fifo(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	FifoEntry *fifo = files_scratch(d, sizeof(*fifo));
	int r = files_save_path(d, file, err);

	if (r < 0)
		return r;
	if (!fifo)
		return open_file_error(file, err, -ENOMEM, "save");
	fifo_entry__init(fifo);
	fifo->id = file->id;
	fifo->pipe_id = (uint32_t)file->st.st_ino;
	fifo->has_regf_id = true;
	fifo->regf_id = file->path_id;
	entry->fifo = fifo;
	return 0;
}

static bool is_first_of_its_fifo(const struct dump *d, const struct open_file *file)
{
	for (size_t i = 0; d->files->files[i] != file; i++)
		if (d->files->files[i]->kind == &fifo_kind && is_same_fifo(d->files->files[i], file))
			return false;
	return true;
}

/* What is in it can be read through any path to it; opened without waiting, and beside the descriptions of the tree. */
static int save_content(struct dump *d, struct open_file *file, struct pipe_reader *reader, struct image_writer *w,
			struct error *err)
{
	AUTO_CLOSE int fd = open_file_reopen(d, file, O_RDONLY | O_NONBLOCK);
	int r = fd < 0 ? fd : pipe_reader_save(reader, fd, (uint32_t)file->st.st_ino, file->flags & O_DIRECT, w, err);

	return r < 0 ? open_file_error(file, err, r, "copy what is in the fifo") : 0;
}

int fifos_save_data(struct dump *d, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	AUTO_PIPE_READER struct pipe_reader reader = PIPE_READER_INIT;

	image_writer_open(&w, d->set, IMAGE_FIFO_DATA, 0);
	for (size_t i = 0; i < d->files->count; i++) {
		struct open_file *file = d->files->files[i];

		if (file->kind == &fifo_kind && is_first_of_its_fifo(d, file)) {
			int r = save_content(d, file, &reader, &w, err);

			if (r < 0)
				return r;
		}
	}
	return image_writer_finish(&w, err);
}

/* --- restore -------------------------------------------------------------------------------------------------- */

struct restore_fifo {
	const struct checked_pipe_data *data;
	int holder;     /* -1 while there is none */
	size_t to_open; /* descriptions that are still to be opened */
};

bool fifo_has_path(const struct restore *r, uint32_t regf_id)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const FileEntry *entry = r->files[i]->entry;

		if (entry->type == FD_TYPES__FIFO && entry->fifo->regf_id == regf_id)
			return true;
	}
	return false;
}

static struct restore_file *path_of(const struct restore *r, const struct restore_file *file)
{
	return restore_find_file(r, FD_TYPES__REG, file->entry->fifo->regf_id);
}

static int check_fifo(struct restore *r, struct restore_file *file, struct error *err)
{
	const uint32_t pipe_id = file->entry->fifo->pipe_id;
	struct restore_fifo *fifo;
	bool is_first;
	int result = restore_join_group(r, file, pipe_id, sizeof(*fifo), &is_first, err);

	if (result < 0)
		return result;
	if (!path_of(r, file))
		return restore_refuse(r, file, err, "the images do not say which path the fifo has");
	fifo = file->kind_data;
	if (is_first)
		*fifo = (struct restore_fifo){
			.holder = -1,
			.data = checked_set_find_fifo_data(r->images, pipe_id),
		};
	fifo->to_open++;
	return 0;
}

static int hold_fifo(struct restore *r, struct restore_fifo *fifo, struct restore_file *path, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int result = regular_open(r, path, O_RDWR | O_NONBLOCK | O_CLOEXEC, &fd, err);

	if (result < 0)
		return result;
	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return error_say(err, -EINVAL, "%s: is not a fifo", path->entry->reg->name);
	result = pipe_fill(fd, fifo->data, err);
	if (result < 0)
		return result;
	fifo->holder = restore_keep_fd(r, &fd);
	return fifo->holder < 0 ? error_set(err, fifo->holder, "hold %s", path->entry->reg->name) : 0;
}

static int open_fifo(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	struct restore_fifo *fifo = file->kind_data;
	struct restore_file *path = path_of(r, file);
	int result = 0;

	if (fifo->holder < 0)
		result = hold_fifo(r, fifo, path, err);
	if (result == 0)
		result =
		    regular_open(r, path, restore_open_flags(path->entry->reg->flags) | file->cloexec, ret_fd, err);
	if (--fifo->to_open == 0)
		close_fd(&fifo->holder);
	return result;
}

/* The owner is in the path's entry. */
static int finish_fifo(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
		       struct error *err)
{
	const RegFileEntry *path = path_of(r, file)->entry->reg;

	return fown_restore(r, path->fown, path->flags, fd, err);
}

const struct file_kind fifo_kind = {
	.name = "fifo",
	.type = FD_TYPES__FIFO,
	.is = is_fifo,
	.look = look_fifo,
	.save = save_fifo,
	.check = check_fifo,
	.open = open_fifo,
	.finish = finish_fifo,
};
