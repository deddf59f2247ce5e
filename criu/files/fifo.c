/*
 * Named pipes. A fifo is a path with flags, which is an entry of its own that the fifo's entry refers to, and a pipe
 * behind it; content and capacity go to fifo-data.img. They are read through a description of the tree: another one,
 * opened for this, would end the wait of whoever opens the fifo for writing.
 *
 * At restore a descriptor that both reads and writes holds the pipe while its descriptions are opened, so that none of
 * them waits for another. A reader that no writer has come to since it was opened must not see that one go: there the
 * holder only reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* By the number that joins them in the image. */
static int compare_fifos(const void *a, const void *b)
{
	const struct open_file *x = *(struct open_file *const *)a, *y = *(struct open_file *const *)b;

	if ((uint32_t)x->st.st_ino != (uint32_t)y->st.st_ino)
		return (uint32_t)x->st.st_ino < (uint32_t)y->st.st_ino ? -1 : 1;
	if (x->st.st_dev != y->st.st_dev)
		return x->st.st_dev < y->st.st_dev ? -1 : 1;
	if (x->st.st_ino != y->st.st_ino)
		return x->st.st_ino < y->st.st_ino ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int list_fifos(struct dump *d)
{
	struct file_registry *registry = d->files;

	if (registry->fifos)
		return 0;
	registry->fifos = calloc(registry->count + 1, sizeof(*registry->fifos));
	if (!registry->fifos)
		return -ENOMEM;
	for (size_t i = 0; i < registry->count; i++)
		if (registry->files[i]->kind == &fifo_kind)
			registry->fifos[registry->fifo_count++] = registry->files[i];
	qsort(registry->fifos, registry->fifo_count, sizeof(*registry->fifos), compare_fifos);
	return 0;
}

/* All descriptions of one fifo. */
struct descriptions {
	struct open_file **files;
	size_t count;
};

static struct descriptions descriptions_at(const struct dump *d, size_t at)
{
	struct descriptions all = { .files = &d->files->fifos[at] };

	while (at + all.count < d->files->fifo_count && is_same_fifo(all.files[all.count], all.files[0]))
		all.count++;
	return all;
}

static size_t first_of(const struct dump *d, const struct open_file *fifo)
{
	size_t low = 0, high = d->files->fifo_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct open_file *file = d->files->fifos[middle];

		if (!is_same_fifo(file, fifo) && compare_fifos(&file, &fifo) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The image joins fifos by 32 bits of the inode number alone. */
static int check_number(struct dump *d, const struct open_file *file, struct error *err)
{
	const struct open_file *before;
	size_t first;
	int r = list_fifos(d);

	if (r < 0)
		return open_file_error(file, err, r, "look");
	first = first_of(d, file);
	before = first ? d->files->fifos[first - 1] : NULL;
	if (before && (uint32_t)before->st.st_ino == (uint32_t)file->st.st_ino)
		return open_file_refuse(file, err, "%s has the same inode number on another filesystem", before->link);
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

/* The first one that is not open for this alone; NULL when there is none. */
static struct open_file *find_other_than(const struct descriptions *all, int access_mode)
{
	for (size_t i = 0; i < all->count; i++)
		if ((all->files[i]->flags & O_ACCMODE) != (uint32_t)access_mode)
			return all->files[i];
	return NULL;
}

/* Of readers without a writer one that has lost one decides for all. */
static int find_unwritten(struct dump *d, const struct open_file *fifo, bool *ret_unwritten)
{
	struct descriptions all;
	int r = list_fifos(d);

	*ret_unwritten = false;
	if (r < 0)
		return r;
	all = descriptions_at(d, first_of(d, fifo));
	if (find_other_than(&all, O_RDONLY))
		return 0;
	for (size_t i = 0; i < all.count; i++) {
		struct pollfd poll_fd = { .fd = open_file_local(d, all.files[i]), .events = POLLIN };

		r = poll_fd.fd < 0 ? poll_fd.fd : poll(&poll_fd, 1, 0) < 0 ? -errno : 0;
		open_file_release(d, all.files[i]);
		if (r < 0 || poll_fd.revents & POLLHUP)
			return r;
	}
	*ret_unwritten = true;
	return 0;
}

static int save_fifo(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	FifoEntry *fifo = files_scratch(d, sizeof(*fifo));
	bool unwritten;
	int r = files_save_path(d, file, err);

	if (r < 0)
		return r;
	if (!fifo)
		return open_file_error(file, err, -ENOMEM, "save");
	r = find_unwritten(d, file, &unwritten);
	if (r < 0)
		return open_file_error(file, err, r, "look for writers");
	fifo_entry__init(fifo);
	fifo->id = file->id;
	fifo->pipe_id = (uint32_t)file->st.st_ino;
	fifo->has_regf_id = true;
	fifo->regf_id = file->path_id;
	if (unwritten)
		fifo->has_unwritten = fifo->unwritten = true;
	entry->fifo = fifo;
	return 0;
}

static int save_content(struct dump *d, const struct descriptions *all, struct pipe_reader *reader,
			struct image_writer *w, struct error *err)
{
	struct open_file *readable = find_other_than(all, O_WRONLY), *file = all->files[0];
	int r;

	if (readable) {
		int fd = open_file_local(d, readable);

		r = fd < 0 ? fd
			   : pipe_reader_save(reader, fd, (uint32_t)file->st.st_ino, file->flags & O_DIRECT, w, err);
		open_file_release(d, readable);
	} else {
		r = pipe_save_unread(d, file, reader, w, err);
	}
	return r < 0 ? open_file_error(file, err, r, "copy what is in the fifo") : 0;
}

int fifos_save_data(struct dump *d, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	AUTO_PIPE_READER struct pipe_reader reader = PIPE_READER_INIT;
	struct descriptions all;
	int r = list_fifos(d);

	if (r < 0)
		return error_set(err, r, "save fifos");
	image_writer_open(&w, d->set, IMAGE_FIFO_DATA, 0);
	for (size_t at = 0; at < d->files->fifo_count; at += all.count) {
		all = descriptions_at(d, at);
		r = save_content(d, &all, &reader, &w, err);
		if (r < 0)
			return r;
	}
	return image_writer_finish(&w, err);
}

/* --- restore -------------------------------------------------------------------------------------------------- */

struct restore_fifo {
	const struct checked_pipe_data *data;
	int holder;     /* -1 while there is none */
	size_t to_open; /* descriptions that are still to be opened */
	bool unwritten; /* of all of them */
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
	fifo = file->kind_data;
	if (is_first)
		*fifo = (struct restore_fifo){
			.holder = -1,
			.data = checked_set_find_fifo_data(r->images, pipe_id),
			.unwritten = true,
		};
	if (!file->entry->fifo->has_unwritten || !file->entry->fifo->unwritten)
		fifo->unwritten = false;
	fifo->to_open++;
	return 0;
}

/* Writing changes the time of the last change, which is that of a write by the program. */
static int fill_unnoticed(int fd, const struct checked_pipe_data *data, struct error *err)
{
	struct stat st;
	int result = fstat(fd, &st) < 0 ? error_set(err, -errno, "look at a fifo") : pipe_fill(fd, data, err);

	if (result == 0 && data && data->entry->bytes)
		(void)futimens(fd, (struct timespec[]){ st.st_atim, st.st_mtim });
	return result;
}

/* Whoever has the fifo open outside of the tree has kept what is in it, which then must not get into it twice. */
static int fill(const struct restore_fifo *fifo, const struct restore_file *path, int fd, struct error *err)
{
	uint32_t bytes = fifo->data ? fifo->data->entry->bytes : 0;
	int waiting = 0, result;

	if (ioctl(fd, FIONREAD, &waiting) < 0)
		return error_set(err, -errno, "look into %s", path->entry->reg->name);
	if (bytes == 0 || waiting == 0)
		return fill_unnoticed(fd, fifo->data, err);
	result = pipe_holds(fd, fifo->data);
	if (result < 0)
		return error_set(err, result, "look into %s", path->entry->reg->name);
	if (result)
		return 0;
	error_hint(err, "end the processes that have it open, or read what they have left in it");
	return error_say(err, -EBUSY, "%s: %d other bytes are in the fifo, %u that were not read have to be",
			 path->entry->reg->name, waiting, bytes);
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
	result = fill(fifo, path, fd, err);
	if (result < 0)
		return result;
	if (fifo->unwritten) {
		int reading = restore_reopen(fd, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

		if (reading < 0)
			return error_set(err, reading, "hold %s", path->entry->reg->name);
		(void)close(fd);
		fd = reading;
	}
	fifo->holder = restore_keep_fd(r, &fd);
	return fifo->holder < 0 ? error_set(err, fifo->holder, "hold %s", path->entry->reg->name) : 0;
}

/* Only F_SETFL can set O_DIRECT, and a reader that does not wait for writers is opened as if it never would. */
static int open_description(struct restore *r, struct restore_file *file, struct restore_file *path, bool unwritten,
			    int *ret_fd, struct error *err)
{
	uint32_t flags = restore_open_flags(path->entry->reg->flags), changed = flags & O_DIRECT;
	AUTO_CLOSE int fd = -1;
	int result;

	if (unwritten && !(flags & O_NONBLOCK))
		changed |= O_NONBLOCK;
	result = regular_open(r, path, (flags ^ changed) | file->cloexec, &fd, err);
	if (result == 0 && changed && fcntl(fd, F_SETFL, (int)flags) < 0)
		result = error_set(err, -errno, "set the flags of %s", path->entry->reg->name);
	if (result == 0)
		*ret_fd = take_fd(&fd);
	return result;
}

static int open_fifo(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	struct restore_fifo *fifo = file->kind_data;
	struct restore_file *path = path_of(r, file);
	int result = 0;

	if (fifo->holder < 0)
		result = hold_fifo(r, fifo, path, err);
	if (result == 0)
		result = open_description(r, file, path, fifo->unwritten, ret_fd, err);
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
