/*
 * Bringing open files back. Before anything is created each description of the images gets an owner, the lowest common
 * ancestor of all who have it, and is checked. Owners open what others will inherit before they create them, if
 * possible at the number it will have there; then each task makes its table: numbers in ascending order, so that the
 * next open mostly gets the right one by itself.
 */
#include "files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/refusals.h"
#include "engine/restore.h"
#include "files/file-kinds.h"
#include "files/locks.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "image/image-check.h"
#include "images/core.pb-c.h"
#include "images/fs.pb-c.h"
#include "kernel/pidfd.h"

/* --- check ---------------------------------------------------------------------------------------------------- */

size_t files_count_deleted(const struct checked_set *images)
{
	size_t count = 0;

	for (size_t i = 0; i < images->file_count; i++)
		count += images->files[i].remap != NULL;
	return count;
}

static int allocate(struct restore *r)
{
	size_t count = r->images->file_count, ghosts = files_count_deleted(r->images);
	struct restore_files *rf = calloc(1, sizeof(*rf) + (count + 1) * sizeof(struct restore_file *));
	struct restore_file *files;

	if (!rf)
		return -ENOMEM;
	r->files = rf->files;
	r->file_count = 0;
	files = restore_alloc(r, (count + 1) * sizeof(*files));
	rf->groups = restore_alloc(r, (count + 1) * sizeof(*rf->groups));
	rf->tables = restore_alloc(r, (r->images->fd_table_count + 1) * sizeof(*rf->tables));
	rf->ghosts = restore_alloc(r, (ghosts + 1) * sizeof(*rf->ghosts));
	if (!files || !rf->groups || !rf->ghosts || !rf->tables)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct checked_file *image = &r->images->files[i];

		files[i] = (struct restore_file){
			.id = image->id,
			.kind = file_kind_by_type(image->entry->type),
			.entry = image->entry,
			.remap = image->remap,
			.first_fd = -1,
			.fd = -1,
			.group_next = &files[i],
		};
		rf->files[i] = &files[i];
		rf->tty_count += image->entry->type == FD_TYPES__TTY;
	}
	r->file_count = count;
	return 0;
}

static struct restore_file *file_of(const struct restore *r, const FdinfoEntry *entry)
{
	return restore_find_file(r, entry->type, entry->id);
}

static bool has_table(const struct restore_task *task)
{
	return task->image && task->image->fds && task->files_owner == task;
}

static int find_users(struct restore *r, struct restore_task *task, struct error *err)
{
	const struct checked_fd_table *table = task->image->fds;
	struct restore_file **files = restore_alloc(r, (table->count + 1) * sizeof(struct restore_file *));

	if (!files)
		return error_set(err, -ENOMEM, "open files");
	restore_files_of(r)->tables[table - r->images->fd_tables] = files;
	for (size_t i = 0; i < table->count; i++) {
		struct restore_file *file = files[i] = file_of(r, table->entries[i]);

		if (!file)
			return error_say(err, -EBADMSG, "pid %d (%s), fd %u: the images have no file %u", task->pid,
					 restore_comm_of(task->image), table->entries[i]->fd, table->entries[i]->id);
		if (table->entries[i]->fd >= INT_MAX || service_fds_has(r, (int)table->entries[i]->fd))
			return error_say(err, -EBADMSG, "pid %d (%s), fd %u: no descriptor can have this number",
					 task->pid, restore_comm_of(task->image), table->entries[i]->fd);
		if (!file->first_user) {
			file->first_user = task;
			file->first_fd = (int)table->entries[i]->fd;
		}
		file->fd_count++;
		restore_add_user(r, file, task);
	}
	return 0;
}

static int check_file(struct restore *r, struct restore_file *file, struct error *err)
{
	int result;

	if (!file->kind)
		return restore_refuse(r, file, err, "files of type %d cannot be restored yet", (int)file->entry->type);
	result = file->kind->check ? file->kind->check(r, file, err) : 0;
	return result < 0 ? result : fown_check(r, file, err);
}

/* How many are named in the sentence itself; all are in the log. */
#define NAMED_AT_MOST 3

static int check_all(struct restore *r, struct error *err)
{
	struct refusals refusals = REFUSALS_INIT;
	int result;

	for (size_t i = 0; i < r->file_count; i++) {
		struct error reason = { 0 };

		if (check_file(r, r->files[i], &reason) < 0)
			refusals_add(&refusals, &reason);
	}
	result = refusals_report(&refusals, NAMED_AT_MOST, err);
	refusals_done(&refusals);
	return result;
}

/* What is made together has one owner. */
static void unite_group(struct restore *r, struct restore_file *first)
{
	struct restore_task *owner = NULL;
	struct restore_file *file = first;
	bool shared = false;

	do {
		shared |= file->is_shared || (owner && file->owner && owner != file->owner);
		owner = restore_common_ancestor(owner, file->owner);
		file = file->group_next;
	} while (file != first);
	owner = owner ? restore_nearest_opener(owner) : NULL;
	do {
		file->owner = owner;
		file->is_shared = shared;
		file = file->group_next;
	} while (file != first);
}

int files_check(struct restore *r, struct error *err)
{
	struct restore_files *rf;
	int result = allocate(r);

	if (result < 0)
		return error_set(err, result, "open files");
	rf = restore_files_of(r);
	result = path_map_apply(r, err);
	for (size_t i = 0; i < r->task_count && result == 0; i++)
		if (has_table(r->tasks[i]))
			result = find_users(r, r->tasks[i], err);
	if (result == 0)
		result = ttys_read(r, err);
	if (result == 0)
		result = check_all(r, err);
	if (result == 0)
		result = ghosts_plan(r, err);
	for (size_t i = 0; i < rf->group_count && result == 0; i++)
		unite_group(r, rf->groups[i]);
	return result < 0 ? result : locks_check(r, err);
}

bool files_need_all_tasks(const struct restore *r)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const struct restore_file *file = r->files[i];
		const FownEntry *owner;
		uint32_t flags;

		if (file->finish_in_each_user || file->is_late || file->kind->finish_after_all)
			return true;
		owner = file->kind->owner ? file->kind->owner(file->entry, &flags) : NULL;
		if (owner && owner->pid)
			return true;
	}
	return ttys_need_groups(r) || locks_have_lease(r);
}

void files_restore_free(struct restore *r)
{
	struct restore_files *rf;

	if (!r->files)
		return;
	rf = restore_files_of(r);
	locks_restore_free(r);
	ttys_restore_free(r);
	key_index_done(&rf->ghosts_by_id);
	key_index_done(&rf->memfds_by_inode);
	key_index_done(&rf->groups_by_key);
	arena_done(&rf->arena);
	free(rf);
	r->files = NULL;
	r->file_count = 0;
}

int files_highest_fd(const struct checked_set *images)
{
	int highest = -1;

	for (size_t i = 0; i < images->fd_table_count; i++) {
		const struct checked_fd_table *table = &images->fd_tables[i];

		if (table->count && (int)table->entries[table->count - 1]->fd > highest)
			highest = (int)table->entries[table->count - 1]->fd;
	}
	return highest;
}

/* --- opening -------------------------------------------------------------------------------------------------- */

static int open_file(struct restore *r, struct restore_file *file, bool cloexec, int *ret_fd, struct error *err)
{
	char place[256];
	int result;

	file->cloexec = cloexec ? O_CLOEXEC : 0;
	result = file->kind->open(r, file, ret_fd, err);
	if (result < 0)
		error_prefix(err, "%s", restore_describe(r, file, place, sizeof(place)));
	file->fd_cloexec = cloexec;
	return result;
}

static bool is_free(int fd)
{
	return fcntl(fd, F_GETFD) < 0;
}

/* Where it will be in the first task that has it, if nothing else is there; else out of the way. */
static int park(const struct restore *r, struct restore_file *file, int fd)
{
	AUTO_CLOSE int opened = fd;

	if (fd == file->first_fd)
		return take_fd(&opened);
	if (file->first_fd >= 0 && is_free(file->first_fd))
		return dup3(opened, file->first_fd, O_CLOEXEC) < 0 ? -errno : file->first_fd;
	return restore_keep_fd(r, &opened);
}

int files_open_shared(struct restore *r, struct restore_task *task, struct error *err)
{
	if (task == r->tasks[0]) {
		int result = ghosts_make(r, err);

		if (result == 0)
			result = link_remaps_make(r, err);
		if (result < 0)
			return result;
	}
	for (size_t i = 0; i < r->file_count; i++) {
		struct restore_file *file = r->files[i];
		int fd, result;

		if (!file->is_shared || file->owner != task)
			continue;
		result = open_file(r, file, true, &fd, err);
		if (result < 0)
			return result;
		file->fd = park(r, file, fd);
		if (file->fd < 0)
			return error_set(err, file->fd, "pid %d, fd %d: keep the file", task->pid, file->first_fd);
	}
	return 0;
}

/* --- a table -------------------------------------------------------------------------------------------------- */

/* Shared files that stand where this table has something else make room. */
static int move_away(struct restore *r, const struct checked_fd_table *table)
{
	for (size_t i = 0; i < r->file_count; i++) {
		struct restore_file *file = r->files[i];
		FdinfoEntry **entry;
		int kept;

		if (file->fd < 0 || service_fds_has(r, file->fd))
			continue;
		entry = checked_fd_table_find(table, (uint32_t)file->fd);
		if (entry && file_of(r, *entry) == file)
			continue;
		kept = service_fds_copy(r, file->fd);
		if (kept < 0)
			return kept;
		file->fd = kept;
		file->fd_cloexec = true;
	}
	return 0;
}

static int close_between(int first, int last)
{
	if (first > last)
		return 0;
	return syscall(SYS_close_range, (unsigned int)first, (unsigned int)last, 0) < 0 ? -errno : 0;
}

/* Leaves ours alone. */
static int close_restored(const struct restore *r, int first, int last)
{
	int result = 0;

	if (first < r->service_fd_base)
		result = close_between(first, last < r->service_fd_base ? last : r->service_fd_base - 1);
	if (result == 0 && last >= r->service_fd_end)
		result = close_between(first > r->service_fd_end ? first : r->service_fd_end, last);
	return result;
}

/* Everything but ours that is not where it belongs. */
static int close_others(struct restore *r, const struct checked_fd_table *table)
{
	int next = 0;

	for (size_t i = 0; i < table->count; i++) {
		const struct restore_file *file = restore_table_files(r, table)[i];
		int result;

		if (file->fd != (int)table->entries[i]->fd)
			continue;
		result = close_restored(r, next, file->fd - 1);
		if (result < 0)
			return result;
		next = file->fd + 1;
	}
	return close_restored(r, next, INT_MAX);
}

/*
 * New descriptors get the lowest free number. Numbers below the table's highest that are not in it are taken meanwhile,
 * so that what is opened in ascending order is where it belongs; unless ours are there, or there are more of them than
 * it would help. Returns where the last gap that was filled ends.
 */
static int fill_gaps(const struct restore *r, const struct checked_fd_table *table)
{
	int next = 0;

	for (size_t i = 0; i < table->count; i++) {
		const int fd = (int)table->entries[i]->fd;

		if ((size_t)(fd - next) > table->count - i || (next < r->service_fd_end && fd > r->service_fd_base))
			break;
		for (; next < fd; next++)
			if (dup3(r->set->dirfd, next, O_CLOEXEC) < 0)
				return -errno;
		next = fd + 1;
	}
	return next;
}

static int clear_gaps(const struct checked_fd_table *table, int end)
{
	int next = 0, result = 0;

	for (size_t i = 0; result == 0 && next < end; i++) {
		const int fd = (int)table->entries[i]->fd;

		result = close_between(next, fd - 1);
		next = fd + 1;
	}
	return result;
}

static int set_cloexec(struct restore_file *file, bool cloexec)
{
	if (file->fd_cloexec == cloexec)
		return 0;
	if (fcntl(file->fd, F_SETFD, cloexec ? FD_CLOEXEC : 0) < 0)
		return -errno;
	file->fd_cloexec = cloexec;
	return 0;
}

static int open_at(struct restore *r, struct restore_file *file, int number, bool cloexec, struct error *err)
{
	int fd, result = open_file(r, file, cloexec, &fd, err);

	if (result < 0)
		return result;
	if (fd != number) {
		result = dup3(fd, number, cloexec ? O_CLOEXEC : 0) < 0 ? -errno : 0;
		(void)close(fd);
	}
	if (result == 0)
		file->fd = number;
	return result;
}

static int install_fd(struct restore *r, struct restore_file *file, const FdinfoEntry *entry, struct error *err)
{
	bool cloexec = entry->flags & FD_CLOEXEC;
	int number = (int)entry->fd;

	if (file->fd == number)
		return set_cloexec(file, cloexec);
	if (file->fd >= 0)
		return dup3(file->fd, number, cloexec ? O_CLOEXEC : 0) < 0 ? -errno : 0;
	return open_at(r, file, number, cloexec, err);
}

static int install_all(struct restore *r, struct restore_task *task, struct error *err)
{
	const struct checked_fd_table *table = task->image->fds;

	for (size_t i = 0; i < table->count; i++) {
		int result = install_fd(r, restore_table_files(r, table)[i], table->entries[i], err);

		if (result < 0)
			return error_set(err, result, "pid %d (%s), fd %u: put the file in place", task->pid,
					 restore_comm_of(task->image), table->entries[i]->fd);
	}
	return 0;
}

int files_install(struct restore *r, struct restore_task *task, struct error *err)
{
	const struct checked_fd_table *table;
	int result, filled = 0;

	if (!has_table(task))
		return 0;
	table = task->image->fds;
	result = move_away(r, table);
	if (result == 0)
		result = close_others(r, table);
	if (result == 0)
		result = filled = fill_gaps(r, table);
	if (result >= 0)
		result = install_all(r, task, err);
	if (result == 0)
		result = clear_gaps(table, filled);
	if (result < 0)
		return error_set(err, result, "pid %d (%s): clear the descriptor table", task->pid,
				 restore_comm_of(task->image));
	return 0;
}

/* --- finish --------------------------------------------------------------------------------------------------- */

/* What can be set on any file by F_SETFL, but not when one without a path is made. */
static int set_status_flags(const struct restore_file *file, uint32_t flags, int fd, struct error *err)
{
	const int settable = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT;
	int now;

	if (!(flags & settable) || flags & O_PATH || file->entry->type == FD_TYPES__REG)
		return 0;
	now = fcntl(fd, F_GETFL);
	if (now < 0 || ((int)flags & settable & ~now && fcntl(fd, F_SETFL, now | ((int)flags & settable)) < 0))
		return error_set(err, -errno, "set its flags to %#x", flags);
	return 0;
}

int restore_finish_file(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			struct error *err)
{
	const FownEntry *owner = NULL;
	uint32_t flags = 0;
	int result = 0;

	if (file->thread)
		return 0;
	if (file->kind->finish)
		result = file->kind->finish(r, task, file, fd, err);
	if (file->kind->owner)
		owner = file->kind->owner(file->entry, &flags);
	if (result == 0)
		result = set_status_flags(file, flags, fd, err);
	if (result == 0 && owner && (owner->pid || owner->pid_type || owner->signum || flags & O_ASYNC) &&
	    !(flags & O_PATH))
		result = fown_restore(r, owner, flags, fd, err);
	return result;
}

static int finish_files(struct restore *r, struct restore_task *task, bool last, struct error *err)
{
	const struct checked_fd_table *table = task->image->fds;

	for (size_t i = 0; i < table->count; i++) {
		const FdinfoEntry *entry = table->entries[i];
		struct restore_file *file = restore_table_files(r, table)[i];
		int result;

		if (file->kind->finish_last != last || file->is_finished)
			continue;
		if (file->first_user != task && !file->finish_in_each_user)
			continue;
		file->is_finished = true;
		result = restore_finish_file(r, task, file, (int)entry->fd, err);
		if (result < 0) {
			error_prefix(err, "pid %d (%s), fd %u", task->pid, restore_comm_of(task->image), entry->fd);
			return result;
		}
	}
	return 0;
}

#define PLACEHOLDER_WAIT_US 100

static bool is_placeholder(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st, root;

	return flags >= 0 && flags & O_PATH && fstat(fd, &st) == 0 && stat("/", &root) == 0 &&
	       st.st_dev == root.st_dev && st.st_ino == root.st_ino;
}

int restore_open_placeholder(const struct restore_file *file)
{
	int fd = open("/", (int)(O_PATH | file->cloexec));

	return fd < 0 ? -errno : fd;
}

/* Nobody waits for ever: a failure of the other one ends the whole run. */
int restore_borrow_late(const struct restore_file *file)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(file->first_user->pid);

	while (pidfd >= 0) {
		AUTO_CLOSE int fd = pidfd_getfd_from(pidfd, file->first_fd);

		if (fd < 0 || !is_placeholder(fd))
			return take_fd(&fd);
		(void)usleep(PLACEHOLDER_WAIT_US);
	}
	return pidfd;
}

/* After what this task itself has to open, so that no two wait for each other. */
static int take_late_files(struct restore *r, struct restore_task *task, struct error *err)
{
	const struct checked_fd_table *table = task->image->fds;

	for (size_t i = 0; i < table->count; i++) {
		struct restore_file *file = restore_table_files(r, table)[i];
		int result;

		if (!file->is_late || file->is_finished)
			continue;
		file->is_finished = true;
		result = restore_borrow_late(file);
		if (result >= 0)
			result = restore_replace_fd(r, task, file, result);
		if (result < 0)
			return error_set(err, result, "pid %d (%s), fd %u: take it over from pid %d", task->pid,
					 restore_comm_of(task->image), table->entries[i]->fd, file->first_user->pid);
	}
	return 0;
}

int files_finish(struct restore *r, struct restore_task *task, struct error *err)
{
	int result;

	if (!has_table(task))
		return 0;
	result = finish_files(r, task, false, err);
	if (result == 0)
		result = take_late_files(r, task, err);
	if (result == 0)
		result = finish_files(r, task, true, err);
	if (result == 0)
		result = ttys_finish(r, task, err);
	return result < 0 ? result : locks_restore(r, task, err);
}

struct restore_file *restore_file_of_fd(const struct restore *r, const struct restore_task *task, int fd)
{
	const struct checked_fd_table *table = task->image->fds;
	FdinfoEntry **found = checked_fd_table_find(table, (uint32_t)fd);

	return found ? restore_table_files(r, table)[found - table->entries] : NULL;
}

static int settle_file(struct restore *r, struct restore_file *file, struct error *err)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(file->first_user->pid);
	AUTO_CLOSE int fd = pidfd < 0 ? pidfd : pidfd_getfd_from(pidfd, file->first_fd);
	int result;

	if (fd < 0)
		return error_set(err, fd, "pid %d, fd %d: borrow the descriptor", file->first_user->pid,
				 file->first_fd);
	result = file->kind->settle(r, file, fd, err);
	if (result < 0)
		error_prefix(err, "pid %d, fd %d", file->first_user->pid, file->first_fd);
	return result;
}

int files_settle(struct restore *r, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < r->file_count && result == 0; i++)
		if (r->files[i]->is_late && r->files[i]->kind->settle && r->files[i]->first_user)
			result = settle_file(r, r->files[i], err);
	return result < 0 ? result : ghosts_settle(r, err);
}

/* --- files without a descriptor ------------------------------------------------------------------------------- */

/*
 * With a lease a mapping of a file that has descriptors is one of their description. Only then: other files can be
 * opened, and nobody waits for who has the descriptor. Other programs give a mapping the number of any descriptor.
 */
static bool can_map_description(const struct restore *r, const struct restore_file *file, uint32_t open_flags)
{
	const uint32_t flags = file->entry->reg->flags, access = flags & O_ACCMODE;

	return locks_have_lease(r) && file->first_user && file->first_fd >= 0 && !file->is_late && !(flags & O_PATH) &&
	       (access == O_RDWR || (access == O_RDONLY && (open_flags & O_ACCMODE) == O_RDONLY));
}

static int borrow_for_mapping(const struct restore_file *file, struct error *err)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(file->first_user->pid);
	int fd = pidfd < 0 ? pidfd : pidfd_getfd_from(pidfd, file->first_fd);

	return fd < 0 ? error_set(err, fd, "borrow fd %d of pid %d to map it", file->first_fd, file->first_user->pid)
		      : fd;
}

int files_open_for_mapping(struct restore *r, struct restore_task *task, uint32_t file_id, uint32_t open_flags,
			   int *ret_fd, struct error *err)
{
	struct restore_file *file = restore_find_file(r, FD_TYPES__REG, file_id);
	AUTO_CLOSE int fd = -1;
	int result;

	if (!file)
		return error_say(err, -EBADMSG, "pid %d: the images have no file %u to map", task->pid, file_id);
	if (can_map_description(r, file, open_flags)) {
		fd = borrow_for_mapping(file, err);
		if (fd < 0)
			return fd;
		*ret_fd = take_fd(&fd);
		return 0;
	}
	result = regular_open_for_mapping(r, file, restore_open_flags(open_flags) | O_CLOEXEC, &fd, err);
	if (result == 0)
		result = locks_restore_kept(task, file->entry->reg, open_flags, fd, err);
	if (result == 0)
		*ret_fd = take_fd(&fd);
	return result;
}

int restore_open_directory(struct restore *r, struct restore_task *task, uint32_t id, int *ret_fd, struct error *err)
{
	struct restore_file *file = restore_find_file(r, FD_TYPES__REG, id);

	if (!file)
		return error_say(err, -EBADMSG, "pid %d: the images have no directory %u", task->pid, id);
	return regular_open(r, file, O_PATH | O_DIRECTORY | O_CLOEXEC, ret_fd, err);
}

static bool is_own_root(int fd)
{
	struct stat st, root;

	return fstat(fd, &st) == 0 && stat("/", &root) == 0 && st.st_dev == root.st_dev && st.st_ino == root.st_ino;
}

int files_restore_fs(struct restore *r, struct restore_task *task, struct error *err)
{
	const FsEntry *fs = task->image->fs;
	AUTO_CLOSE int cwd = -1;
	AUTO_CLOSE int root = -1;
	int result = restore_open_directory(r, task, fs->cwd_id, &cwd, err);

	if (result == 0)
		result = restore_open_directory(r, task, fs->root_id, &root, err);
	if (result < 0)
		return result;
	if (!is_own_root(root) && (fchdir(root) < 0 || chroot(".") < 0))
		return error_set(err, -errno, "pid %d (%s): change its root directory", task->pid,
				 restore_comm_of(task->image));
	if (fchdir(cwd) < 0)
		return error_set(err, -errno, "pid %d (%s): change to its working directory", task->pid,
				 restore_comm_of(task->image));
	if (fs->has_umask)
		(void)umask((mode_t)fs->umask);
	return 0;
}
