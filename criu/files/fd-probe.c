/* Descriptors of a table, borrowed with pidfd_getfd(2) and asked one by one what they are. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "engine/dump.h"
#include "files/fd-tables-internal.h"
#include "kernel/kcmp.h"
#include "kernel/pidfd.h"
#include "kernel/proc-list.h"

/* --- one descriptor ------------------------------------------------------------------------------------------- */

static void fill_stat(const struct statx *sx, struct stat *st)
{
	st->st_dev = makedev(sx->stx_dev_major, sx->stx_dev_minor);
	st->st_rdev = makedev(sx->stx_rdev_major, sx->stx_rdev_minor);
	st->st_ino = sx->stx_ino;
	st->st_mode = sx->stx_mode;
	st->st_nlink = sx->stx_nlink;
	st->st_uid = sx->stx_uid;
	st->st_gid = sx->stx_gid;
	st->st_size = (off_t)sx->stx_size;
	st->st_blocks = (blkcnt_t)sx->stx_blocks;
	st->st_atim = (struct timespec){ sx->stx_atime.tv_sec, sx->stx_atime.tv_nsec };
	st->st_mtim = (struct timespec){ sx->stx_mtime.tv_sec, sx->stx_mtime.tv_nsec };
	st->st_ctim = (struct timespec){ sx->stx_ctime.tv_sec, sx->stx_ctime.tv_nsec };
}

int fd_probe_stat(int dirfd, const char *path, struct open_file *file)
{
	struct statx sx;

	if (statx(dirfd, path, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID | STATX_BTIME,
		  &sx) < 0)
		return -errno;
	fill_stat(&sx, &file->st);
	if (sx.stx_mask & STATX_BTIME)
		file->btime_ns = file_policy_ns(sx.stx_btime.tv_sec, sx.stx_btime.tv_nsec);
	file->attributes = sx.stx_attributes & sx.stx_attributes_mask;
	file->mnt_id = sx.stx_mask & STATX_MNT_ID ? (int)sx.stx_mnt_id : -1;
	return 0;
}

bool fd_probe_has_position(const struct open_file *file)
{
	return !(file->flags & O_PATH) && (S_ISREG(file->st.st_mode) || S_ISDIR(file->st.st_mode) ||
					   S_ISBLK(file->st.st_mode) || S_ISCHR(file->st.st_mode));
}

uint64_t fd_probe_position(int fd)
{
	off_t pos = lseek(fd, 0, SEEK_CUR);

	return pos < 0 ? 0 : (uint64_t)pos;
}

bool fd_probe_has_write_hint(const struct open_file *file)
{
	return S_ISREG(file->st.st_mode) && !(file->flags & O_PATH) && (file->flags & O_ACCMODE) != O_RDONLY;
}

void fd_probe_write_hint(int fd, struct open_file *file)
{
	if (fd_probe_has_write_hint(file) && fcntl(fd, F_GET_RW_HINT, &file->write_hint) < 0)
		file->write_hint = 0;
}

/* -EBADF: the table has no such descriptor. */
static int probe_fd(struct task *task, int fd, bool keep_local, struct open_file *file)
{
	AUTO_CLOSE int local = pidfd_getfd_from(task->acting_pidfd, fd);
	int flags, r;

	if (local < 0)
		return local;
	r = fd_probe_stat(local, "", file);
	if (r < 0)
		return r;
	flags = fcntl(local, F_GETFL);
	if (flags < 0)
		return -errno;
	file->task = task;
	file->fd = fd;
	file->local_fd = -1;
	file->flags = (uint32_t)flags & ~(uint32_t)O_CLOEXEC;
	if (fd_probe_has_position(file))
		file->pos = fd_probe_position(local);
	fown_read(local, &file->owner);
	fd_probe_write_hint(local, file);
	if (keep_local && (S_ISSOCK(file->st.st_mode) || S_ISFIFO(file->st.st_mode)))
		file->local_fd = take_fd(&local);
	return 0;
}

/* --- one table ------------------------------------------------------------------------------------------------ */

struct open_file *fd_probe_parent_file(const struct task *parent, int fd)
{
	const struct task_fd *found = parent ? fd_table_find(parent, fd) : NULL;

	return found ? found->file : NULL;
}

struct open_file *fd_probe_inherited(const struct fd_probe *probe, int fd)
{
	struct open_file *file = fd_probe_parent_file(probe->parent, fd);
	int order;

	if (!file || kcmp_files(file->task->acting_tid, file->fd, probe->task->acting_tid, fd, &order) < 0 ||
	    order != 0)
		return NULL;
	return file;
}

static int number_of(const struct fd_probe *probe, size_t index)
{
	return probe->numbers ? probe->numbers[index] : probe->first + (int)index;
}

static int probe_item(const struct fd_probe *probe, size_t index)
{
	struct probed_fd *item = &probe->items[index];
	int fd = number_of(probe, index), r;

	item->fd = -1;
	item->file = fd_probe_inherited(probe, fd);
	if (!item->file) {
		r = probe_fd(probe->task, fd, probe->keep_local, &probe->files[index]);
		if (r < 0)
			return r;
		item->file = &probe->files[index];
	}
	item->fd = fd;
	return 0;
}

static void probe_range(void *ctx, size_t begin, size_t end)
{
	struct fd_probe *probe = ctx;

	for (size_t i = begin; i < end; i++)
		probe->items[i].fd = -1;
	for (size_t i = begin; i < end; i++) {
		int r;

		if (probe->wanted && atomic_load(&probe->found) == probe->wanted)
			return;
		r = probe_item(probe, i);
		if (r == 0) {
			atomic_fetch_add(&probe->found, 1);
		} else if (r != -EBADF) {
			atomic_store(&probe->error_fd, number_of(probe, i));
			atomic_store(&probe->error, r);
			return;
		}
	}
}

int fd_probe_add(const struct fd_probe *probe, size_t count)
{
	struct task *task = probe->task;
	struct task_fd *fds = realloc(task->fds, (task->fd_count + count + 1) * sizeof(*fds));

	if (!fds)
		return -ENOMEM;
	task->fds = fds;
	for (size_t i = 0; i < count; i++)
		if (probe->items[i].fd >= 0)
			fds[task->fd_count++] = (struct task_fd){ .fd = probe->items[i].fd,
								  .close_on_exec = probe->items[i].close_on_exec,
								  .file = probe->items[i].file };
	return 0;
}

int fd_probe_report(const struct fd_probe *probe, struct error *err)
{
	int r = atomic_load(&probe->error);

	return r < 0 ? error_set(err, r, TASK_FORMAT ", fd %d: borrow the descriptor", TASK_ARGS(probe->task),
				 atomic_load(&probe->error_fd))
		     : 0;
}

/* Asks for count numbers and adds those that are descriptors to the table. */
static int probe_items(struct dump *d, struct fd_probe *probe, size_t count, struct error *err)
{
	AUTO_FREE struct probed_fd *items = calloc(count + 1, sizeof(struct probed_fd));
	int r;

	probe->items = items;
	probe->files = registry_new_files(d->files, count);
	if (!probe->files || !items)
		return error_set(err, -ENOMEM, TASK_FORMAT ": descriptors", TASK_ARGS(probe->task));
	if (probe->keep_local && count >= PARALLEL_FROM)
		parallel_make_room(probe->task->procfd, d->files->count + 4 * d->task_count + count + 64);
	parallel_run(count, PARALLEL_FROM, probe_range, probe);
	r = fd_probe_report(probe, err);
	if (r < 0)
		return r;
	r = fd_probe_add(probe, count);
	return r < 0 ? error_set(err, r, TASK_FORMAT ": descriptors", TASK_ARGS(probe->task)) : 0;
}

int fd_probe_listed(struct dump *d, struct fd_probe *probe, struct error *err)
{
	AUTO_FREE int *numbers = NULL;
	size_t count;
	int r;

	r = proc_list_fds(probe->task->procfd, &numbers, &count);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": list its descriptors", TASK_ARGS(probe->task));
	probe->numbers = numbers;
	probe->wanted = 0;
	return probe_items(d, probe, count, err);
}

/*
 * Listing /proc/PID/fd costs more than asking for each number. Where the table is nearly full, all numbers are tried,
 * the rest of the table only until as many were found as there are.
 */
int fd_probe_dense(struct dump *d, struct fd_probe *probe, size_t count, size_t table_size, struct error *err)
{
	int r;

	probe->wanted = count;
	r = probe_items(d, probe, count, err);
	if (r < 0 || probe->task->fd_count == count || table_size <= count)
		return r;
	probe->first = (int)count;
	return probe_items(d, probe, table_size - count, err);
}
