/*
 * Pipes. The descriptions of a pipe's ends are saved one by one, with the pipe's inode number as what joins them;
 * unread content and capacity go to pipes-data.img, unless it is for somebody outside of the tree to read.
 *
 * A pipe whose other end is held outside of the tree is saved as well: whoever restores connects it again with
 * --inherit-fd, which is how container engines give a task its standard streams, and they say nothing of it to the
 * dump. A restore that is given nothing refuses, or leaves the pipe without its other end where --external says so.
 * Sets of CRIU do not tell such a pipe from one whose other end was closed; there it is taken for closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/pipe-buffer.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/pipe.pb-c.h"
#include "kernel/bpf-files.h"

#define KERNEL_LARGEFILE 0100000 /* O_LARGEFILE is 0 here */
/* What F_SETFL can bring back. */
#define STATUS_FLAGS (O_NONBLOCK | O_DIRECT | O_APPEND | O_NOATIME)

/* --- dump ----------------------------------------------------------------------------------------------------- */

static bool is_pipe(const struct dump *d, const struct open_file *file)
{
	return S_ISFIFO(file->st.st_mode) && file->st.st_dev == d->files->pipe_dev && !(file->flags & O_PATH);
}

static bool can_read(const struct open_file *file)
{
	return (file->flags & O_ACCMODE) != O_WRONLY;
}

static bool can_write(const struct open_file *file)
{
	return (file->flags & O_ACCMODE) != O_RDONLY;
}

static int compare_inodes(const void *a, const void *b)
{
	const struct open_file *x = *(struct open_file *const *)a, *y = *(struct open_file *const *)b;

	if (x->st.st_ino != y->st.st_ino)
		return x->st.st_ino < y->st.st_ino ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* All pipes by inode, made when first asked for. */
static int list_pipes(struct dump *d)
{
	struct file_registry *registry = d->files;

	if (registry->pipes)
		return 0;
	registry->pipes = calloc(registry->count + 1, sizeof(*registry->pipes));
	if (!registry->pipes)
		return -ENOMEM;
	for (size_t i = 0; i < registry->count; i++)
		if (registry->files[i]->kind == &pipe_kind)
			registry->pipes[registry->pipe_count++] = registry->files[i];
	qsort(registry->pipes, registry->pipe_count, sizeof(*registry->pipes), compare_inodes);
	return 0;
}

static size_t find_pipe(const struct file_registry *registry, ino_t inode)
{
	size_t low = 0, high = registry->pipe_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (registry->pipes[middle]->st.st_ino < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has_both_ends(const struct file_registry *registry, ino_t inode)
{
	bool readable = false, writable = false;

	for (size_t i = find_pipe(registry, inode);
	     i < registry->pipe_count && registry->pipes[i]->st.st_ino == inode && !(readable && writable); i++) {
		readable |= can_read(registry->pipes[i]);
		writable |= can_write(registry->pipes[i]);
	}
	return readable && writable;
}

/* Of a pipe that lacks one end poll(2) tells: without readers or writers it is broken, else somebody else has the end.
 */
static int find_outside_end(struct dump *d, struct open_file *file, bool *ret_outside)
{
	struct pollfd poll_fd = { 0 };
	int r = list_pipes(d);

	*ret_outside = false;
	if (r < 0 || has_both_ends(d->files, file->st.st_ino))
		return r;
	poll_fd.fd = open_file_local(d, file);
	if (poll_fd.fd < 0)
		return poll_fd.fd;
	r = poll(&poll_fd, 1, 0) < 0 ? -errno : 0;
	*ret_outside = !(poll_fd.revents & (POLLERR | POLLHUP));
	return r;
}

static void warn_of_outside_end(const struct dump *d, const struct open_file *file)
{
	char place[ERROR_WHOLE_BYTES], number[24];

	(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)file->st.st_ino);
	if (options_find_external(d->opts, "pipe", number))
		return;
	log_warn("%s: the other end is held outside of the tree; the restore needs --inherit-fd fd[N]:pipe:[%s]",
		 open_file_describe(file, place, sizeof(place)), number);
}

/* What a pipe made by root has goes without saying. */
static void save_rights(const struct stat *st, PipeEntry *pipe)
{
	pipe->uid = st->st_uid;
	pipe->gid = st->st_gid;
	pipe->mode = st->st_mode & 07777;
	pipe->has_uid = pipe->has_gid = st->st_uid || st->st_gid;
	pipe->has_mode = pipe->mode != 0600;
}

static int save_pipe(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	PipeEntry *pipe = files_scratch(d, sizeof(*pipe));

	bool outside;
	int r;

	if (!pipe)
		return open_file_error(file, err, -ENOMEM, "save");
	r = find_outside_end(d, file, &outside);
	if (r < 0)
		return open_file_error(file, err, r, "look for the other end");
	pipe_entry__init(pipe);
	pipe->id = file->id;
	pipe->pipe_id = (uint32_t)file->st.st_ino;
	pipe->flags = file->flags & ~(uint32_t)O_DIRECT;
	if (file->flags & O_DIRECT)
		pipe->has_packets = pipe->packets = true;
	if (outside) {
		pipe->has_outside = pipe->outside = true;
		warn_of_outside_end(d, file);
	}
	save_rights(&file->st, pipe);
	pipe->fown = fown_save(d, file);
	if (!pipe->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->pipe = pipe;
	return 0;
}

/* With both ends in the tree nothing comes in after the look; what others write into it is copied when it is saved. */
static bool is_known_empty(const struct dump *d, const struct open_file *file)
{
	return file->facts && file->facts->pipe_head == file->facts->pipe_tail &&
	       has_both_ends(d->files, file->st.st_ino);
}

int pipe_save_unread(struct dump *d, struct open_file *file, struct pipe_reader *reader, struct image_writer *w,
		     struct error *err)
{
	uint32_t id = (uint32_t)file->st.st_ino;
	int waiting = 0, fd = open_file_local(d, file), r = fd < 0 ? fd : 0, capacity = 0;

	if (r == 0 && (ioctl(fd, FIONREAD, &waiting) < 0 || (capacity = fcntl(fd, F_GETPIPE_SZ)) < 0))
		r = -errno;
	open_file_release(d, file);
	if (r == 0 && waiting) {
		AUTO_CLOSE int reading = open_file_reopen(d, file, O_RDONLY | O_NONBLOCK);

		return reading < 0 ? reading : pipe_reader_save(reader, reading, id, file->flags & O_DIRECT, w, err);
	}
	return r < 0 ? r : pipe_save_empty(id, (uint32_t)capacity, w, err);
}

/* Who comes as a reader later finds what is in it. What others read is theirs. */
static int save_without_reader(struct dump *d, struct open_file *file, struct pipe_reader *reader,
			       struct image_writer *w, struct error *err)
{
	bool outside;
	int r = find_outside_end(d, file, &outside);

	return r < 0 || outside ? r : pipe_save_unread(d, file, reader, w, err);
}

/* All descriptions of one pipe. */
static int save_one_pipe(struct dump *d, struct open_file **files, size_t count, struct pipe_reader *reader,
			 struct image_writer *w, struct error *err)
{
	struct open_file *readable = NULL;
	bool packets = false;
	int fd, r;

	for (size_t i = 0; i < count; i++) {
		if (!readable && can_read(files[i]))
			readable = files[i];
		packets |= files[i]->flags & O_DIRECT;
	}
	if (!readable) {
		r = save_without_reader(d, files[0], reader, w, err);
		return r < 0 ? open_file_error(files[0], err, r, "copy what is in the pipe") : 0;
	}
	if (is_known_empty(d, readable))
		return pipe_save_empty((uint32_t)readable->st.st_ino,
				       (uint32_t)(readable->facts->pipe_slots * PAGE_BYTES), w, err);
	fd = open_file_local(d, readable);
	r = fd < 0 ? fd : pipe_reader_save(reader, fd, (uint32_t)readable->st.st_ino, packets, w, err);
	open_file_release(d, readable);
	if (r == -EPERM || r == -ENOBUFS)
		error_hint(err, PIPE_CAPACITY_HINT);
	return r < 0 ? open_file_error(readable, err, r, "copy what is in the pipe") : 0;
}

int pipes_save_data(struct dump *d, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	AUTO_PIPE_READER struct pipe_reader reader = PIPE_READER_INIT;
	struct open_file **files;
	size_t count;
	int r = list_pipes(d);

	if (r < 0)
		return error_set(err, r, "save pipes");
	files = d->files->pipes;
	count = d->files->pipe_count;
	image_writer_open(&w, d->set, IMAGE_PIPES_DATA, 0);
	for (size_t at = 0, n; at < count; at += n) {
		for (n = 1; at + n < count && files[at + n]->st.st_ino == files[at]->st.st_ino;)
			n++;
		r = save_one_pipe(d, &files[at], n, &reader, &w, err);
		if (r < 0)
			return r;
	}
	return image_writer_finish(&w, err);
}

/* --- restore -------------------------------------------------------------------------------------------------- */

/* One for all descriptions of a pipe. */
struct restore_pipe {
	const struct checked_pipe_data *data;
	int inherited;  /* -errno: none */
	bool is_filled; /* the content is in the inherited one */
	bool is_made;
	uint32_t made_flags; /* what the ends were made with */
	int spare[2];        /* an end that was made and not asked for yet; -1 */
	bool spare_cloexec;
};

/* An end that was held outside must be given, unless it is said that nobody will have it. */
static int check_outside_end(struct restore *r, const struct restore_file *file, const struct restore_pipe *pipe,
			     struct error *err)
{
	const PipeEntry *entry = file->entry->pipe;
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", entry->pipe_id);
	if (!entry->has_outside || !entry->outside || pipe->inherited >= 0 ||
	    options_find_external(r->opts, "pipe", number))
		return 0;
	error_hint(err,
		   "--inherit-fd fd[N]:pipe:[%s] connects it to descriptor N, --external pipe[%s] leaves it broken",
		   number, number);
	return restore_refuse(r, file, err, "pipe:[%s]: its other end was held outside of the tree", number);
}

static int check_pipe(struct restore *r, struct restore_file *file, struct error *err)
{
	const PipeEntry *entry = file->entry->pipe;
	struct restore_pipe *pipe;
	char key[32];
	bool is_first;
	int result = restore_join_group(r, file, entry->pipe_id, sizeof(*pipe), &is_first, err);

	if (result < 0)
		return result;
	pipe = file->kind_data;
	if (!is_first)
		return check_outside_end(r, file, pipe, err);
	(void)snprintf(key, sizeof(key), "pipe:[%u]", entry->pipe_id);
	*pipe = (struct restore_pipe){
		.data = checked_set_find_pipe_data(r->images, entry->pipe_id),
		.inherited = restore_inherited(r, key),
		.spare = { -1, -1 },
	};
	return check_outside_end(r, file, pipe, err);
}

#define MADE_FLAGS ((uint32_t)(O_NONBLOCK | O_DIRECT))

static uint32_t status_flags(const PipeEntry *entry)
{
	uint32_t flags = entry->flags & (STATUS_FLAGS & ~(uint32_t)O_DIRECT);

	return entry->has_packets && entry->packets ? flags | O_DIRECT : flags;
}

/* What was opened by a path has O_LARGEFILE, an end as pipe(2) makes it has not; it is for one side alone. */
static bool takes_made_end(const struct restore_file *file)
{
	const uint32_t flags = file->entry->pipe->flags;

	return !(flags & KERNEL_LARGEFILE) && (flags & O_ACCMODE) != O_RDWR;
}

/* The ring member that has this end and gets no other description of it. */
static struct restore_file *find_taker(struct restore_file *file, uint32_t access_mode)
{
	for (struct restore_file *f = file->group_next; f != file; f = f->group_next)
		if ((f->entry->pipe->flags & O_ACCMODE) == access_mode && takes_made_end(f) && f->fd < 0)
			return f;
	return NULL;
}

/* Any open description of the pipe: others are opened by it. */
static int find_open(const struct restore_file *file)
{
	for (const struct restore_file *f = file->group_next; f != file; f = f->group_next)
		if (f->fd >= 0)
			return f->fd;
	return -1;
}

/* Another description of it. Only F_SETFL can set O_DIRECT. */
static int open_again(const struct restore_file *file, int fd)
{
	const uint32_t flags = (file->entry->pipe->flags & O_ACCMODE) | status_flags(file->entry->pipe);
	AUTO_CLOSE int opened = restore_reopen(fd, (flags & ~(uint32_t)O_DIRECT) | file->cloexec);

	if (opened >= 0 && flags & O_DIRECT && fcntl(opened, F_SETFL, (int)flags) < 0)
		return -errno;
	return take_fd(&opened);
}

/* pipe2(2) gives O_DIRECT to the writing end alone. */
static int finish_end(struct restore_file *file, int *fd, uint32_t made_flags, uint32_t has_cloexec, int *ret_fd)
{
	uint32_t flags = status_flags(file->entry->pipe);
	uint32_t has_flags =
	    (file->entry->pipe->flags & O_ACCMODE) == O_RDONLY ? made_flags & ~(uint32_t)O_DIRECT : made_flags;

	if (flags != has_flags && fcntl(*fd, F_SETFL, (int)flags) < 0)
		return -errno;
	if (file->cloexec != has_cloexec && fcntl(*fd, F_SETFD, file->cloexec ? FD_CLOEXEC : 0) < 0)
		return -errno;
	*ret_fd = take_fd(fd);
	return 0;
}

/* The end that nobody asked for yet waits where its descriptor will be, if that is where it is; or above the base. */
static int put_aside(struct restore *r, struct restore_file *file, struct restore_pipe *pipe, int end, int *fd)
{
	const struct restore_file *taker = find_taker(file, end ? O_WRONLY : O_RDONLY);
	int kept;

	if (!taker)
		return 0; /* closed by the caller */
	if (!taker->is_shared && taker->first_fd == *fd) {
		pipe->spare[end] = take_fd(fd);
		pipe->spare_cloexec = file->cloexec;
		return 0;
	}
	kept = restore_keep_fd(r, fd);
	if (kept < 0)
		return kept;
	pipe->spare[end] = kept;
	pipe->spare_cloexec = true;
	return 0;
}

static int bring_back_rights(const PipeEntry *entry, int fd)
{
	if (entry->has_uid && entry->has_gid && fchown(fd, entry->uid, entry->gid) < 0)
		return -errno;
	return entry->has_mode && fchmod(fd, entry->mode & 07777) < 0 ? -errno : 0;
}

static int make_pipe(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	struct restore_pipe *pipe = file->kind_data;
	const PipeEntry *entry = file->entry->pipe;
	int end = (entry->flags & O_ACCMODE) == O_WRONLY, ends[2], result;
	/* What is written into it must not block. */
	uint32_t flags = pipe->data && pipe->data->entry->bytes ? O_NONBLOCK : status_flags(entry) & MADE_FLAGS;

	if (pipe2(ends, (int)(flags | file->cloexec)) < 0)
		return error_set(err, -errno, "make a pipe");
	pipe->is_made = true;
	pipe->made_flags = flags;
	result = bring_back_rights(entry, ends[0]);
	if (result < 0)
		(void)error_set(err, result, "give the pipe to user %u, group %u", entry->uid, entry->gid);
	if (result == 0)
		result = pipe_fill(ends[1], pipe->data, err);
	if (result == 0 && takes_made_end(file)) {
		result = finish_end(file, &ends[end], flags, file->cloexec, ret_fd);
	} else if (result == 0) {
		*ret_fd = open_again(file, ends[end]);
		result = *ret_fd < 0 ? *ret_fd : put_aside(r, file, pipe, end, &ends[end]);
	}
	if (result == 0)
		result = put_aside(r, file, pipe, !end, &ends[!end]);
	cleanup_close(&ends[0]);
	cleanup_close(&ends[1]);
	return result < 0 ? error_set(err, result, "make a pipe") : 0;
}

/* What was not read yet waits in the pipe itself if that is the one of the dump, and is put into any other. */
static int fill_inherited(struct restore_pipe *pipe, const struct restore_file *file, const struct stat *st,
			  struct error *err)
{
	const PipeEntry *entry = file->entry->pipe;
	AUTO_CLOSE int fd = -1;

	if (pipe->is_filled || !pipe->data || !pipe->data->entry->bytes)
		return 0;
	pipe->is_filled = true;
	if (!S_ISFIFO(st->st_mode))
		return error_say(err, -EINVAL, "what is given for pipe:[%u] is no pipe, %u unread bytes would be lost",
				 entry->pipe_id, pipe->data->entry->bytes);
	if ((uint32_t)st->st_ino == entry->pipe_id)
		return 0;
	fd = restore_reopen(pipe->inherited, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, fd, "write into what is given for pipe:[%u]", entry->pipe_id);
	return pipe_fill(fd, pipe->data, err);
}

static int open_inherited(struct restore_pipe *pipe, const struct restore_file *file, int *ret_fd, struct error *err)
{
	struct stat st;
	int fd, r;

	if (fstat(pipe->inherited, &st) < 0)
		return error_set(err, -errno, "look at what is given for pipe:[%u]", file->entry->pipe->pipe_id);
	r = fill_inherited(pipe, file, &st, err);
	if (r < 0)
		return r;
	/* A description of its own where that can be had, so that its flags are nobody else's. */
	if (S_ISFIFO(st.st_mode)) {
		fd = open_again(file, pipe->inherited);
	} else {
		fd = fcntl(pipe->inherited, file->cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd < 0)
		return error_set(err, fd, "open what is given for pipe:[%u]", file->entry->pipe->pipe_id);
	*ret_fd = fd;
	return 0;
}

static int open_pipe(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	struct restore_pipe *pipe = file->kind_data;
	const PipeEntry *entry = file->entry->pipe;
	uint32_t access_mode = entry->flags & O_ACCMODE;
	int end = access_mode == O_WRONLY, fd;

	if (pipe->inherited >= 0) {
		return open_inherited(pipe, file, ret_fd, err);
	} else if (!pipe->is_made) {
		return make_pipe(r, file, ret_fd, err);
	} else if (takes_made_end(file) && pipe->spare[end] >= 0) {
		fd = finish_end(file, &pipe->spare[end], pipe->made_flags, pipe->spare_cloexec ? O_CLOEXEC : 0, ret_fd);
		return fd < 0 ? error_set(err, fd, "set up a pipe") : 0;
	} else {
		int other = find_open(file);

		if (other < 0)
			other = pipe->spare[pipe->spare[0] < 0];
		fd = open_again(file, other);
	}
	if (fd < 0)
		return error_set(err, fd, "open a pipe");
	*ret_fd = fd;
	return 0;
}

static const FownEntry *pipe_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->pipe->flags;
	return entry->pipe->fown;
}

const struct file_kind pipe_kind = {
	.name = "pipe",
	.type = FD_TYPES__PIPE,
	.is = is_pipe,
	.save = save_pipe,
	.check = check_pipe,
	.open = open_pipe,
	.owner = pipe_owner,
};
