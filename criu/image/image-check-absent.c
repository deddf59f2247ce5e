/*
 * Parts that a set has lost. A file without records is not written, and a list ends wherever its file does: a missing
 * image, or one cut off between two records, looks like one with less in it. That a whole one is missing the inventory
 * tells (image_set_had()), but not that of other versions. What tells then is what is left behind: an open file that
 * nothing refers to any more, or a pipe that can be read and of which nobody says what is in it.
 *
 * A directory that was dumped to before may hold images of processes that are in no tree, and other versions may write
 * the path of a file that they need no more. Only both together are taken for damage.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-check-private.h"
#include "image/vma-status.h"

/* Indexed as cs->files. */
struct used_files {
	const struct checked_set *cs;
	bool *is_used;
};

static void use_file(const struct used_files *used, const struct checked_file *file)
{
	if (file)
		used->is_used[file - used->cs->files] = true;
}

static void use_typed(const struct used_files *used, FdTypes type, uint64_t id)
{
	if (id <= UINT32_MAX)
		use_file(used, checked_set_find_typed_file(used->cs, type, (uint32_t)id));
}

static void use_mapped(const struct used_files *used, const VmaEntry *vma)
{
	if (vma->status & VMA_MEMFD)
		use_typed(used, FD_TYPES__MEMFD, vma->shmid);
	else if (vma->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED))
		use_typed(used, FD_TYPES__REG, vma->shmid);
	if (vma->status & VMA_FILE_SHARED)
		use_typed(used, FD_TYPES__IO_URING, vma->shmid);
}

static void use_files_of_task(const struct used_files *used, const struct checked_task *task)
{
	if (task->is_zombie)
		return;
	use_typed(used, FD_TYPES__REG, task->fs->cwd_id);
	use_typed(used, FD_TYPES__REG, task->fs->root_id);
	use_typed(used, FD_TYPES__REG, task->mm->exe_file_id);
	for (size_t i = 0; i < task->mm->n_vmas; i++)
		use_mapped(used, task->mm->vmas[i]);
}

static void use_files_of_file(const struct used_files *used, const FileEntry *entry)
{
	const EventpollFileEntry *epoll = entry->epfd;

	if (entry->type == FD_TYPES__FIFO)
		use_typed(used, FD_TYPES__REG, entry->fifo->regf_id);
	if (entry->type == FD_TYPES__TTY && entry->tty->has_regf_id)
		use_typed(used, FD_TYPES__REG, entry->tty->regf_id);
	for (size_t i = 0; epoll && i < epoll->n_tfd; i++)
		if (epoll->tfd[i]->has_target_id)
			use_file(used, checked_set_find_file(used->cs, epoll->tfd[i]->target_id));
}

static void use_all(const struct used_files *used)
{
	const struct checked_set *cs = used->cs;

	for (size_t i = 0; i < cs->fd_table_count; i++)
		for (size_t k = 0; k < cs->fd_tables[i].count; k++)
			use_typed(used, cs->fd_tables[i].entries[k]->type, cs->fd_tables[i].entries[k]->id);
	for (size_t i = 0; i < cs->task_count; i++)
		use_files_of_task(used, &cs->tasks[i]);
	for (size_t i = 0; i < cs->file_count; i++) {
		const struct checked_file *file = &cs->files[i];

		use_files_of_file(used, file->entry);
		if (file->remap && file->remap->remap_type == REMAP_TYPE__LINKED)
			use_typed(used, FD_TYPES__REG, file->remap->remap_id);
	}
}

/* Sockets and what plugins know may be reached in other ways than these. */
static bool is_always_used(FdTypes type)
{
	return type == FD_TYPES__UNIXSK || type == FD_TYPES__INETSK || type == FD_TYPES__NETLINKSK ||
	       type == FD_TYPES__PACKETSK || type == FD_TYPES__EXT;
}

/* A file that nothing refers to, of those that only a descriptor can refer to if there is one. NULL: none. */
static const struct checked_file *find_unused(const struct used_files *used)
{
	const struct checked_set *cs = used->cs;
	const struct checked_file *path = NULL;

	for (size_t i = 0; i < cs->file_count; i++) {
		FdTypes type = cs->files[i].entry->type;

		if (used->is_used[i] || is_always_used(type))
			continue;
		if (type != FD_TYPES__REG)
			return &cs->files[i];
		if (!path)
			path = &cs->files[i];
	}
	return path;
}

static int compare_tids(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static uint32_t *list_tids(const struct checked_set *cs, size_t *ret_count)
{
	size_t count = 0;
	uint32_t *tids;

	for (size_t i = 0; i < cs->task_count; i++)
		count += cs->tasks[i].thread_count;
	tids = calloc(count + 1, sizeof(*tids));
	if (!tids)
		return NULL;
	*ret_count = 0;
	for (size_t i = 0; i < cs->task_count; i++)
		for (size_t k = 0; k < cs->tasks[i].thread_count; k++)
			tids[(*ret_count)++] = cs->tasks[i].threads[k].tid;
	qsort(tids, count, sizeof(*tids), compare_tids);
	return tids;
}

/* A core image of none of the threads: 1 and whose it is, 0, or -errno. */
static int find_stray_core(const struct checked_set *cs, uint64_t *ret_tid)
{
	AUTO_CLOSEDIR DIR *dir = image_set_list(cs->set);
	AUTO_FREE uint32_t *tids = NULL;
	const struct dirent *entry;
	size_t count = 0;

	if (!dir)
		return -errno;
	tids = list_tids(cs, &count);
	if (!tids)
		return -ENOMEM;
	while ((entry = readdir(dir))) {
		enum image_kind kind;
		uint32_t tid;

		if (image_parse_name(entry->d_name, &kind, ret_tid) < 0 || kind != IMAGE_CORE)
			continue;
		tid = (uint32_t)*ret_tid;
		if (*ret_tid > UINT32_MAX || !bsearch(&tid, tids, count, sizeof(*tids), compare_tids))
			return 1;
	}
	return 0;
}

static const struct checked_fd_table *find_empty_table(const struct checked_set *cs)
{
	for (size_t i = 0; i < cs->fd_table_count; i++)
		if (cs->fd_tables[i].count == 0)
			return &cs->fd_tables[i];
	return NULL;
}

/* Descriptors of no process: 1 and of which table, 0, or -errno. */
static int find_stray_table(const struct checked_set *cs, uint64_t *ret_id)
{
	AUTO_CLOSEDIR DIR *dir = image_set_list(cs->set);
	const struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		enum image_kind kind;
		bool is_used = false;

		if (image_parse_name(entry->d_name, &kind, ret_id) < 0 || kind != IMAGE_FDINFO)
			continue;
		for (size_t i = 0; i < cs->fd_table_count; i++)
			is_used |= cs->fd_tables[i].files_id == *ret_id;
		if (!is_used)
			return 1;
	}
	return 0;
}

/* A process may have no descriptor, and a directory images of others; but its table may also be under another number.
 */
static int check_tables_known(const struct checked_set *cs, struct error *err)
{
	const struct checked_fd_table *table = find_empty_table(cs);
	uint64_t id = 0;
	int r = table ? find_stray_table(cs, &id) : 0;

	if (r < 0)
		return error_set(err, r, "look for tables of descriptors");
	if (r == 0)
		return 0;
	return error_say(err, -EBADMSG,
			 "fdinfo-%u.img is missing or empty, and fdinfo-%" PRIu64 ".img belongs to no process",
			 table->files_id, id);
}

static int refuse_unused(const struct checked_set *cs, const struct checked_file *file, struct error *err)
{
	const struct checked_fd_table *table = find_empty_table(cs);
	uint64_t tid;
	int r = find_stray_core(cs, &tid);

	if (r < 0)
		return error_set(err, r, "look for core images");
	if (r > 0)
		return error_say(err, -EBADMSG,
				 "pstree.img: thread %" PRIu64
				 " is missing: there is its core image, and nothing refers to file %u",
				 tid, file->id);
	if (table)
		return error_say(err, -EBADMSG, "fdinfo-%u.img is missing or empty, and nothing refers to file %u",
				 table->files_id, file->id);
	if (file->entry->type != FD_TYPES__REG)
		return error_say(err, -EBADMSG,
				 "files.img: nothing refers to file %u: a table of descriptors is incomplete",
				 file->id);
	return 0;
}

static int check_used_files(const struct checked_set *cs, struct error *err)
{
	AUTO_FREE bool *is_used = calloc(cs->file_count + 1, sizeof(*is_used));
	const struct used_files used = { cs, is_used };
	const struct checked_file *unused;

	if (!is_used)
		return error_set(err, -ENOMEM, "check files.img");
	use_all(&used);
	unused = find_unused(&used);
	return unused ? refuse_unused(cs, unused, err) : 0;
}

static bool can_read(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_WRONLY;
}

static bool is_unknown_pipe(const struct checked_set *cs, const PipeEntry *pipe)
{
	return can_read(pipe->flags) && !checked_set_find_pipe_data(cs, pipe->pipe_id);
}

static bool is_unknown_fifo(const struct checked_set *cs, const FifoEntry *fifo)
{
	const struct checked_file *path = checked_set_find_typed_file(cs, FD_TYPES__REG, fifo->regf_id);

	return path && can_read(path->entry->reg->flags) && !checked_set_find_fifo_data(cs, fifo->pipe_id);
}

/* Every version that writes the list of plugins has a record for each pipe that can be read, be it empty. */
static int check_pipes_known(const struct checked_set *cs, struct error *err)
{
	for (size_t i = 0; i < cs->file_count && cs->inventory->plugins_entry; i++) {
		const FileEntry *entry = cs->files[i].entry;

		if (entry->type == FD_TYPES__PIPE && is_unknown_pipe(cs, entry->pipe))
			return error_say(err, -EBADMSG,
					 "pipes-data.img: does not say what is in pipe %u, the end of which is file %u",
					 entry->pipe->pipe_id, entry->id);
		if (entry->type == FD_TYPES__FIFO && is_unknown_fifo(cs, entry->fifo))
			return error_say(err, -EBADMSG,
					 "fifo-data.img: does not say what is in fifo %u, the end of which is file %u",
					 entry->fifo->pipe_id, entry->id);
	}
	return 0;
}

int check_absent_parts(const struct checked_set *cs, struct error *err)
{
	int r = check_used_files(cs, err);

	if (r == 0)
		r = check_tables_known(cs, err);
	return r < 0 ? r : check_pipes_known(cs, err);
}
