/* Descriptor tables and directories of the processes: what they name is there, and each number stands once. */
#include <errno.h>
#include <stdlib.h>

#include "image/image-check-private.h"

static int compare_descriptors(const void *a, const void *b)
{
	const FdinfoEntry *left = *(FdinfoEntry *const *)a, *right = *(FdinfoEntry *const *)b;

	return (left->fd > right->fd) - (left->fd < right->fd);
}

static int check_fd_table(const struct checked_set *cs, const struct checked_fd_table *table,
			  const struct check_place *at)
{
	for (size_t i = 0; i < table->count; i++) {
		const FdinfoEntry *entry = table->entries[i];

		if (entry->fd >= CHECK_FD_LIMIT)
			return check_bad(at, "descriptor %u is out of range", entry->fd);
		if (i > 0 && table->entries[i - 1]->fd == entry->fd)
			return check_bad(at, "descriptor %u is there twice", entry->fd);
		if (entry->flags & ~1u)
			return check_bad(at, "descriptor %u: unknown flags 0x%x", entry->fd, entry->flags);
		if (!file_row_of(entry->type))
			return check_bad(at, "descriptor %u: type %d is not known", entry->fd, entry->type);
		if (checked_set_find_typed_file(cs, entry->type, entry->id))
			continue;
		if (checked_set_find_file(cs, entry->id))
			return check_bad(at, "descriptor %u: file %u is of another type", entry->fd, entry->id);
		return check_bad(at, "descriptor %u: file %u is not there", entry->fd, entry->id);
	}
	return 0;
}

static int load_fd_table(struct checked_set *cs, struct checked_fd_table *table, struct error *err)
{
	const struct check_place at = { IMAGE_FDINFO, table->files_id, err };
	struct image_list list;
	int r = image_read_list_into(cs->set, IMAGE_FDINFO, table->files_id, &fdinfo_entry__descriptor, &cs->arena,
				     &list, err);

	if (r < 0)
		return r;
	table->entries = (FdinfoEntry **)list.items;
	table->count = list.count;
	if (table->count)
		qsort(table->entries, table->count, sizeof(*table->entries), compare_descriptors);
	return check_fd_table(cs, table, &at);
}

static int compare_tables(const void *a, const void *b)
{
	const struct checked_fd_table *left = a, *right = b;

	return (left->files_id > right->files_id) - (left->files_id < right->files_id);
}

/* One table for each files_id, in ascending order. */
static int make_fd_tables(struct checked_set *cs, struct error *err)
{
	size_t count = 0, unique = 0;

	cs->fd_tables = calloc(cs->task_count + 1, sizeof(*cs->fd_tables));
	if (!cs->fd_tables)
		return error_set(err, -ENOMEM, "check descriptor tables");
	for (size_t i = 0; i < cs->task_count; i++) {
		if (!cs->tasks[i].is_zombie)
			cs->fd_tables[count++].files_id = cs->tasks[i].ids->files_id;
	}
	qsort(cs->fd_tables, count, sizeof(*cs->fd_tables), compare_tables);
	for (size_t i = 0; i < count; i++) {
		if (unique == 0 || cs->fd_tables[unique - 1].files_id != cs->fd_tables[i].files_id)
			cs->fd_tables[unique++].files_id = cs->fd_tables[i].files_id;
	}
	cs->fd_table_count = unique;
	return 0;
}

FdinfoEntry **checked_fd_table_find(const struct checked_fd_table *table, uint32_t fd)
{
	FdinfoEntry key = { .fd = fd }, *wanted = &key;

	if (!table->count)
		return NULL;
	return bsearch(&wanted, table->entries, table->count, sizeof(*table->entries), compare_descriptors);
}

/* A descriptor that was closed after it was added, while a duplicate lives on, is found by device and inode. */
static int check_epoll_targets(const struct checked_fd_table *table, const EventpollFileEntry *epoll,
			       const struct check_place *at)
{
	for (size_t i = 0; i < epoll->n_tfd; i++) {
		if (!epoll->tfd[i]->has_inode && !checked_fd_table_find(table, epoll->tfd[i]->tfd))
			return check_bad(at, "the target %u of epoll file %u is not there", epoll->tfd[i]->tfd,
					 epoll->id);
	}
	return 0;
}

static int check_table_epolls(const struct checked_set *cs, const struct checked_fd_table *table, struct error *err)
{
	const struct check_place at = { IMAGE_FDINFO, table->files_id, err };
	int r = 0;

	for (size_t i = 0; i < table->count && r == 0; i++) {
		const FdinfoEntry *entry = table->entries[i];

		if (entry->type == FD_TYPES__EVENTPOLL)
			r = check_epoll_targets(
			    table, checked_set_find_typed_file(cs, entry->type, entry->id)->entry->epfd, &at);
	}
	return r;
}

int check_fd_tables(struct checked_set *cs, struct error *err)
{
	int r = make_fd_tables(cs, err);

	for (size_t i = 0; i < cs->fd_table_count && r == 0; i++)
		r = load_fd_table(cs, &cs->fd_tables[i], err);
	for (size_t i = 0; i < cs->fd_table_count && r == 0; i++)
		r = check_table_epolls(cs, &cs->fd_tables[i], err);
	for (size_t i = 0; i < cs->task_count && r == 0; i++) {
		struct checked_fd_table key = { 0 };

		if (cs->tasks[i].is_zombie)
			continue;
		key.files_id = cs->tasks[i].ids->files_id;
		cs->tasks[i].fds = bsearch(&key, cs->fd_tables, cs->fd_table_count, sizeof(key), compare_tables);
	}
	return r;
}

int check_fs(struct checked_set *cs, struct error *err)
{
	for (size_t i = 0; i < cs->task_count; i++) {
		struct checked_task *task = &cs->tasks[i];
		const struct check_place at = { IMAGE_FS, task->entry->pid, err };
		int r;

		if (task->is_zombie)
			continue;
		r = image_read_required(cs->set, IMAGE_FS, task->entry->pid, &fs_entry__descriptor, &task->fs, err);
		if (r < 0)
			return r;
		if (!checked_set_find_typed_file(cs, FD_TYPES__REG, task->fs->cwd_id))
			return check_bad(&at, "the working directory, file %u, is not there", task->fs->cwd_id);
		if (!checked_set_find_typed_file(cs, FD_TYPES__REG, task->fs->root_id))
			return check_bad(&at, "the root directory, file %u, is not there", task->fs->root_id);
		if (task->fs->has_umask && task->fs->umask > 0777)
			return check_bad(&at, "umask 0%o is out of range", task->fs->umask);
	}
	return 0;
}
