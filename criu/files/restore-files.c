/* What kinds call on their way back: files by id, descriptors of ours, who opens a file, and which are made together.
 */
#include "files/restore-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "image/image-check.h"

void *restore_alloc(struct restore *r, size_t bytes)
{
	return arena_alloc(&restore_files_of(r)->arena, bytes);
}

int restore_replace_name(struct restore *r, char **name, char *replacement)
{
	AUTO_FREE char *owned = replacement;
	char *kept;

	if (!r->images->files_in_arena) {
		free(*name);
		*name = TAKE_PTR(owned);
		return 0;
	}
	kept = arena_strdup(&restore_files_of(r)->arena, owned);
	if (kept)
		*name = kept;
	return kept ? 0 : -ENOMEM;
}

static int compare_ids(const struct restore_file *file, FdTypes type, uint32_t id)
{
	if (file->id != id)
		return file->id < id ? -1 : 1;
	if (type == FD_TYPES__UND || file->entry->type == type)
		return 0;
	return file->entry->type < type ? -1 : 1;
}

struct restore_file *restore_find_file(const struct restore *r, FdTypes type, uint32_t id)
{
	size_t low = 0, high = r->file_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_ids(r->files[middle], type, id);

		if (order == 0)
			return r->files[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool restore_is_temporary(uint32_t flags)
{
	return (flags & O_TMPFILE) == O_TMPFILE;
}

uint32_t restore_open_flags(uint32_t flags)
{
	uint32_t once = O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | O_ASYNC;

	if (restore_is_temporary(flags))
		once |= O_TMPFILE;
	return (flags & ~once) | O_NOCTTY;
}

int restore_open_content(const char *path)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(path, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

int restore_keep_fd(const struct restore *r, int *fd)
{
	int kept = service_fds_copy(r, *fd);

	if (kept < 0)
		return kept;
	close_fd(fd);
	return kept;
}

int restore_reopen(int fd, uint32_t flags)
{
	char path[32];
	int opened;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	opened = open(path, (int)(flags & ~(uint32_t)O_NOFOLLOW));
	return opened < 0 ? -errno : opened;
}

int restore_inherited(const struct restore *r, const char *key)
{
	int fd = options_find_inherit_fd(r->opts, key);

	if (fd < 0)
		return -ENOENT;
	return service_fds_copy(r, fd);
}

int restore_replace_fd(struct restore *r, struct restore_task *task, struct restore_file *file, int fd)
{
	const struct checked_fd_table *table = task->image->fds;
	FdinfoEntry **first = file->first_user == task ? checked_fd_table_find(table, (uint32_t)file->first_fd) : NULL;
	AUTO_CLOSE int owned = fd;
	size_t left = file->fd_count;

	for (size_t i = first ? (size_t)(first - table->entries) : 0; i < table->count && left; i++) {
		const FdinfoEntry *entry = table->entries[i];

		if (restore_table_files(r, table)[i] != file)
			continue;
		left--;
		if (dup3(owned, (int)entry->fd, entry->flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
			return -errno;
	}
	return 0;
}

static size_t creation_depth(const struct restore_task *task)
{
	size_t depth = 0;

	for (; task->creator; task = task->creator)
		depth++;
	return depth;
}

struct restore_task *restore_common_ancestor(struct restore_task *a, struct restore_task *b)
{
	size_t depth_a, depth_b;

	if (!a || !b || a == b)
		return a ? a : b;
	depth_a = creation_depth(a);
	depth_b = creation_depth(b);
	for (; depth_a > depth_b; depth_a--)
		a = a->creator;
	for (; depth_b > depth_a; depth_b--)
		b = b->creator;
	while (a != b) {
		a = a->creator;
		b = b->creator;
	}
	return a;
}

/* Helpers and zombies open nothing: they pass on what their creators have. For the child of a vfork its parent does. */
struct restore_task *restore_nearest_opener(struct restore_task *task)
{
	while (task->creator && (task->is_helper || task->is_zombie || task->vfork_parent))
		task = task->creator;
	return task;
}

void restore_add_user(struct restore *r, struct restore_file *file, struct restore_task *task)
{
	if (file->owner && file->owner != task)
		file->is_shared = true;
	file->owner = restore_nearest_opener(restore_common_ancestor(file->owner, task));
	if (task->vfork_parent)
		file->is_shared = true;
}

/* Files of other kinds may have the same key. */
static struct restore_file *first_of_group(const struct restore_files *rf, const struct file_kind *kind, uint64_t key)
{
	const struct key_index *index = &rf->groups_by_key;

	for (size_t at = key_index_first(index, key); at != KEY_INDEX_END; at = key_index_next(index, at))
		if (rf->groups[key_index_place(index, at)]->kind == kind)
			return rf->groups[key_index_place(index, at)];
	return NULL;
}

int restore_join_group(struct restore *r, struct restore_file *file, uint64_t key, size_t bytes, bool *ret_is_first,
		       struct error *err)
{
	struct restore_files *rf = restore_files_of(r);
	struct restore_file *first = first_of_group(rf, file->kind, key);

	*ret_is_first = !first;
	if (!first) {
		file->kind_data = restore_alloc(r, bytes);
		if (!file->kind_data || key_index_add(&rf->groups_by_key, key, rf->group_count) < 0)
			return error_set(err, -ENOMEM, "open files");
		rf->groups[rf->group_count++] = file;
		return 0;
	}
	file->group_next = first->group_next;
	first->group_next = file;
	file->kind_data = first->kind_data;
	return 0;
}
