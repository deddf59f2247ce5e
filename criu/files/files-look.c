/*
 * Finding the open files of a tree. Each descriptor is borrowed with pidfd_getfd(2) and asked what it is; those that
 * stand for one description are told from those that only look alike; what is left is named by its link in /proc,
 * handed to its kind and looked at. Every refusal is gathered: the sentence names the first one, the log all of them.
 */
#include "files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/locks.h"
#include "files/registry.h"
#include "kernel/bpf-files.h"
#include "kernel/kcmp.h"
#include "kernel/pidfd.h"
#include "kernel/proc-list.h"
#include "kernel/proc-misc.h"

/* From so many items on a second thread pays for itself. */
#define PARALLEL_FROM 256

/* A group of look-alikes of this size is worth reading fdinfo for, to spare comparing them with each other. */
#define REFINE_FROM 64

/* Numbers for images: the first one is left to whoever dumps. */
#define FIRST_FILES_ID 2

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
}

/* Fills a stat and the mount id with one call; AT_EMPTY_PATH for dirfd itself. */
static int stat_file(int dirfd, const char *path, struct open_file *file)
{
	struct statx sx;

	if (statx(dirfd, path, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID, &sx) < 0)
		return -errno;
	fill_stat(&sx, &file->st);
	file->mnt_id = sx.stx_mask & STATX_MNT_ID ? (int)sx.stx_mnt_id : -1;
	return 0;
}

static bool has_position(const struct open_file *file)
{
	return !(file->flags & O_PATH) && (S_ISREG(file->st.st_mode) || S_ISDIR(file->st.st_mode) ||
					   S_ISBLK(file->st.st_mode) || S_ISCHR(file->st.st_mode));
}

/* -EBADF: the table has no such descriptor. */
static int probe_fd(struct task *task, int fd, bool keep_local, struct open_file *file)
{
	AUTO_CLOSE int local = pidfd_getfd_from(task->pidfd, fd);
	int flags, r;

	if (local < 0)
		return local;
	r = stat_file(local, "", file);
	if (r < 0)
		return r;
	flags = fcntl(local, F_GETFL);
	if (flags < 0)
		return -errno;
	file->task = task;
	file->fd = fd;
	file->local_fd = -1;
	file->flags = (uint32_t)flags & ~(uint32_t)O_CLOEXEC;
	if (has_position(file)) {
		off_t pos = lseek(local, 0, SEEK_CUR);

		file->pos = pos < 0 ? 0 : (uint64_t)pos;
	}
	fown_read(local, &file->owner);
	if (keep_local && (S_ISSOCK(file->st.st_mode) || S_ISFIFO(file->st.st_mode)))
		file->local_fd = take_fd(&local);
	return 0;
}

/* --- one table ------------------------------------------------------------------------------------------------ */

struct table_probe {
	struct task *task;
	const int *numbers; /* NULL: item i is descriptor first + i */
	int first;
	struct open_file *files;
	bool keep_local;
	size_t wanted; /* descriptors in the whole table, 0 while unknown */
	atomic_size_t found;
	atomic_int error;
	atomic_int error_fd;
};

static void probe_range(void *ctx, size_t begin, size_t end)
{
	struct table_probe *probe = ctx;

	for (size_t i = begin; i < end; i++) {
		int fd = probe->numbers ? probe->numbers[i] : probe->first + (int)i;
		int r;

		if (probe->wanted && atomic_load(&probe->found) == probe->wanted)
			return;
		r = probe_fd(probe->task, fd, probe->keep_local, &probe->files[i]);
		if (r == 0) {
			atomic_fetch_add(&probe->found, 1);
		} else if (r != -EBADF) {
			atomic_store(&probe->error_fd, fd);
			atomic_store(&probe->error, r);
			return;
		}
	}
}

static int probe_items(struct dump *d, struct table_probe *probe, size_t count, struct error *err)
{
	probe->files = registry_new_files(d->files, count);
	if (!probe->files)
		return error_set(err, -ENOMEM, TASK_FORMAT ": descriptors", TASK_ARGS(probe->task));
	parallel_run(count, PARALLEL_FROM, probe_range, probe);
	if (atomic_load(&probe->error) == 0)
		return 0;
	if (atomic_load(&probe->error) == -EMFILE)
		error_hint(err, "raise the limit of open files (ulimit -n)");
	return error_set(err, atomic_load(&probe->error), TASK_FORMAT ", fd %d: borrow the descriptor",
			 TASK_ARGS(probe->task), atomic_load(&probe->error_fd));
}

static int add_fds(struct task *task, struct open_file *files, size_t count, struct error *err)
{
	struct task_fd *fds = realloc(task->fds, (task->fd_count + count + 1) * sizeof(*fds));

	if (!fds)
		return error_set(err, -ENOMEM, TASK_FORMAT ": descriptors", TASK_ARGS(task));
	task->fds = fds;
	for (size_t i = 0; i < count; i++)
		if (files[i].task)
			fds[task->fd_count++] = (struct task_fd){ .fd = files[i].fd, .file = &files[i] };
	return 0;
}

static int probe_listed(struct dump *d, struct task *task, struct error *err)
{
	struct table_probe probe = { .task = task, .keep_local = d->files->keep_local };
	AUTO_FREE int *numbers = NULL;
	size_t count;
	int r;

	r = proc_list_fds(task->procfd, &numbers, &count);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": list its descriptors", TASK_ARGS(task));
	probe.numbers = numbers;
	r = probe_items(d, &probe, count, err);
	return r < 0 ? r : add_fds(task, probe.files, count, err);
}

static void drop_duplicate(struct open_file *file)
{
	close_fd(&file->local_fd);
	open_file_forget_fdinfo(file);
}

/*
 * Listing /proc/PID/fd costs more than asking for each number. Where the table is nearly full, all numbers are tried,
 * the rest of the table only until as many were found as there are.
 */
static int probe_dense(struct dump *d, struct task *task, size_t count, size_t table_size, struct error *err)
{
	struct table_probe probe = { .task = task, .keep_local = d->files->keep_local, .wanted = count };
	int r;

	r = probe_items(d, &probe, count, err);
	if (r == 0)
		r = add_fds(task, probe.files, count, err);
	if (r < 0 || task->fd_count == count || table_size <= count)
		return r;
	probe.first = (int)count;
	r = probe_items(d, &probe, table_size - count, err);
	return r < 0 ? r : add_fds(task, probe.files, table_size - count, err);
}

struct table {
	struct task *task;
	size_t count; /* 0: unknown (before Linux 6.2) or empty */
	size_t table_size;
};

static int probe_table(struct dump *d, const struct table *table, struct error *err)
{
	struct task *task = table->task;

	task->fds = calloc(1, sizeof(*task->fds));
	if (!task->fds)
		return error_set(err, -ENOMEM, TASK_FORMAT ": descriptors", TASK_ARGS(task));
	if (table->count && table->table_size <= 2 * table->count + 64) {
		int r = probe_dense(d, task, table->count, table->table_size, err);

		if (r < 0 || task->fd_count == table->count)
			return r;
		/* The numbers did not tell the truth: ask for the list itself. */
		while (task->fd_count)
			drop_duplicate(task->fds[--task->fd_count].file);
	}
	return probe_listed(d, task, err);
}

/* --- tables of the tree --------------------------------------------------------------------------------------- */

static int compare_tables(const struct table *a, const struct table *b, int *ret_order)
{
	if (a->count != b->count)
		*ret_order = a->count < b->count ? -1 : 1;
	else if (a->table_size != b->table_size)
		*ret_order = a->table_size < b->table_size ? -1 : 1;
	else
		return kcmp_object(KCMP_KIND_FILES, a->task->host_pid, b->task->host_pid, ret_order);
	return 0;
}

/* Sorted insertion; a table that is there already belongs to the task that was first. */
static int insert_table(struct table *tables, size_t *count, const struct table *table, struct task **ret_owner)
{
	size_t low = 0, high = *count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order, r;

		r = compare_tables(table, &tables[middle], &order);
		if (r < 0)
			return r;
		if (order == 0) {
			*ret_owner = tables[middle].task;
			return 0;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	memmove(&tables[low + 1], &tables[low], (*count - low) * sizeof(*tables));
	tables[low] = *table;
	(*count)++;
	*ret_owner = table->task;
	return 0;
}

static int read_table(struct task *task, struct table *ret, struct error *err)
{
	struct stat st;

	if (fstatat(task->procfd, "fd", &st, 0) < 0)
		return error_set(err, -errno, TASK_FORMAT ": its descriptor table", TASK_ARGS(task));
	*ret = (struct table){ .task = task,
			       .count = (size_t)st.st_size,
			       .table_size = (size_t)task->threads[0].status.fd_table_size };
	return 0;
}

/* Tells which tasks share a table, and lists the distinct ones in the order of tasks. */
static int find_tables(struct dump *d, struct table *ret_tables, size_t *ret_count, struct error *err)
{
	AUTO_FREE struct table *sorted = calloc(d->task_count + 1, sizeof(struct table));
	size_t sorted_count = 0, count = 0;
	uint32_t files_id = FIRST_FILES_ID;

	if (!sorted)
		return error_set(err, -ENOMEM, "descriptor tables");
	for_each_task (d, task) {
		struct table table;
		int r;

		if (task->is_zombie)
			continue;
		r = read_table(task, &table, err);
		if (r < 0)
			return r;
		r = insert_table(sorted, &sorted_count, &table, &task->files_owner);
		if (r < 0)
			return error_set(err, r, TASK_FORMAT ": compare descriptor tables", TASK_ARGS(task));
		if (task->files_owner != task) {
			task->files_id = task->files_owner->files_id;
			continue;
		}
		task->files_id = files_id++;
		ret_tables[count++] = table;
	}
	*ret_count = count;
	return 0;
}

/* Descriptors of ours stay open between look and save where the limit leaves plenty of room. */
static bool may_keep_local(const struct table *tables, size_t count)
{
	struct rlimit limit;
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += tables[i].count ? tables[i].count : tables[i].table_size;
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && total + 512 < limit.rlim_cur / 2;
}

/* --- identity ------------------------------------------------------------------------------------------------- */

static int compare_descriptions(const struct open_file *a, const struct open_file *b, int *ret_order)
{
	return kcmp_files(a->task->host_pid, a->fd, b->task->host_pid, b->fd, ret_order);
}

/* The kernel's own identities of one table, into the files of a run with the same task. */
static int identify_table(int program_fd, struct open_file **files, size_t count)
{
	AUTO_FREE struct bpf_file *listed = NULL;
	size_t listed_count = 0, at = 0;
	int r = bpf_files_list(program_fd, files[0]->task->pidfd, &listed, &listed_count);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		while (at < listed_count && listed[at].fd < (uint64_t)files[i]->fd)
			at++;
		if (at == listed_count || listed[at].fd != (uint64_t)files[i]->fd)
			return -ENOENT;
		files[i]->serial = listed[at].id;
	}
	return 0;
}

static int identify_files(struct dump *d, struct open_file **files, size_t count)
{
	AUTO_CLOSE int program_fd = bpf_files_open();
	int r = program_fd < 0 ? program_fd : 0;

	for (size_t i = 0, n; i < count && r == 0; i += n) {
		for (n = 1; i + n < count && files[i + n]->task == files[i]->task;)
			n++;
		r = identify_table(program_fd, &files[i], n);
	}
	if (r < 0) {
		log_debug("files: compared one by one, their identities cannot be read: %s", strerror(-r));
		for (size_t i = 0; i < count; i++)
			files[i]->serial = 0;
	}
	return r;
}

static void read_serials(void *ctx, size_t begin, size_t end)
{
	struct open_file **files = ctx;

	for (size_t i = begin; i < end; i++) {
		const struct fdinfo *info;

		if (open_file_fdinfo(files[i], &info) < 0)
			continue;
		if (fdinfo_number(info, "eventfd-id", 10, &files[i]->serial) < 0)
			files[i]->serial = 0;
		else
			files[i]->serial++; /* they count from 0 */
	}
}

/* All anonymous inodes are one inode: a thousand eventfds look alike but for the number the kernel gives each. */
static void refine_group(struct dump *d, struct open_file **files, size_t count)
{
	if (count >= REFINE_FROM && files[0]->st.st_dev == d->files->anon_dev)
		parallel_run(count, PARALLEL_FROM, read_serials, files);
}

static size_t count_fds(const struct table *tables, size_t table_count)
{
	size_t total = 0;

	for (size_t i = 0; i < table_count; i++)
		total += tables[i].task->fd_count;
	return total;
}

/* Puts the first file of each description in place of its duplicates and registers it. */
static int merge_duplicates(struct dump *d, const struct table *tables, size_t table_count, struct open_file **files,
			    const size_t *first, struct error *err)
{
	size_t at = 0;

	for (size_t t = 0; t < table_count; t++) {
		struct task *task = tables[t].task;

		for (size_t i = 0; i < task->fd_count; i++, at++) {
			struct open_file *file = files[first[at]];

			if (first[at] == at) {
				int r = registry_add(d, file, err);

				if (r < 0)
					return r;
			} else {
				drop_duplicate(files[at]);
			}
			task->fds[i].file = file;
			file->needed = true;
		}
	}
	return 0;
}

static int find_shared_descriptions(struct dump *d, const struct table *tables, size_t table_count, struct error *err)
{
	static const struct file_order order = {
		.compare = compare_descriptions,
		.identify = identify_files,
		.refine = refine_group,
	};
	size_t total = count_fds(tables, table_count), at = 0;
	AUTO_FREE struct open_file **files = calloc(total + 1, sizeof(struct open_file *));
	AUTO_FREE size_t *first = calloc(total + 1, sizeof(size_t));
	int r;

	if (!files || !first)
		return error_set(err, -ENOMEM, "%zu descriptors", total);
	for (size_t t = 0; t < table_count; t++)
		for (size_t i = 0; i < tables[t].task->fd_count; i++)
			files[at++] = tables[t].task->fds[i].file;
	r = identity_resolve(d, files, total, &order, first);
	if (r < 0)
		return error_set(err, r, "compare open files");
	return merge_duplicates(d, tables, table_count, files, first, err);
}

static int look_descriptors(struct dump *d, struct error *err)
{
	AUTO_FREE struct table *tables = calloc(d->task_count + 1, sizeof(struct table));
	size_t count = 0;
	int r;

	if (!tables)
		return error_set(err, -ENOMEM, "descriptor tables");
	r = find_tables(d, tables, &count, err);
	if (r < 0)
		return r;
	d->files->keep_local = may_keep_local(tables, count);
	for (size_t i = 0; i < count; i++) {
		r = probe_table(d, &tables[i], err);
		if (r < 0)
			return r;
	}
	return find_shared_descriptions(d, tables, count, err);
}

/* --- names ---------------------------------------------------------------------------------------------------- */

/* Of the last file that was named: programs open one path many times. */
struct name_memory {
	const struct open_file *file;
	int fd_dir; /* /proc/PID/fd of task */
	const struct task *task;
};

static bool leads_to(const char *path, const struct stat *st)
{
	struct stat found;

	return fstatat(AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_dev == st->st_dev &&
	       found.st_ino == st->st_ino;
}

static enum file_name_state check_name(const struct open_file *file, const struct name_memory *memory)
{
	const struct open_file *last = memory->file;

	if (file->link[0] != '/')
		return FILE_NAME_NONE;
	if (last && last->link && last->st.st_dev == file->st.st_dev && last->st.st_ino == file->st.st_ino &&
	    !strcmp(last->link, file->link))
		return last->name_state;
	return leads_to(file->link, &file->st) ? FILE_NAME_GOOD : FILE_NAME_GONE;
}

static int name_file(struct open_file *file, struct name_memory *memory)
{
	char number[16];
	int r;

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
	file->name_state = check_name(file, memory);
	memory->file = file;
	return 0;
}

/*
 * Kinds of anonymous inodes have no other source: read here, where two threads do it. What is an eventfd is known by
 * then without asking for its link.
 */
static void read_ahead(const struct dump *d, struct open_file *file)
{
	const struct fdinfo *info;

	if (file->st.st_dev == d->files->anon_dev && open_file_fdinfo(file, &info) == 0 &&
	    fdinfo_value(info, "eventfd-count"))
		file->link = strdup("anon_inode:[eventfd]");
}

static void name_files(void *ctx, size_t begin, size_t end)
{
	struct dump *d = ctx;
	struct name_memory memory = { .fd_dir = -1 };

	for (size_t i = begin; i < end; i++) {
		struct open_file *file = d->files->files[i];

		if (file->fd < 0 || file->link || S_ISSOCK(file->st.st_mode) || file->st.st_dev == d->files->pipe_dev)
			continue;
		read_ahead(d, file);
		if (!file->link)
			(void)name_file(file, &memory); /* a file without a link is refused by its kind */
	}
	close_fd(&memory.fd_dir);
}

/* --- kinds ---------------------------------------------------------------------------------------------------- */

static const struct file_kind *find_kind(const struct dump *d, const struct open_file *file)
{
	for (size_t i = 0; file_kinds[i]; i++)
		if (file_kinds[i]->is && file_kinds[i]->is(d, file))
			return file_kinds[i];
	return NULL;
}

static void gather_refusal(struct dump *d, const struct error *reason, struct error *err)
{
	d->files->refusal_count++;
	log_error("%s", reason->text);
	if (reason->hint[0])
		log_error("hint: %s", reason->hint);
	if (!error_is_set(err))
		*err = *reason;
}

static int look_kind(struct dump *d, struct open_file *file, struct error *err)
{
	int r;

	file->kind = find_kind(d, file);
	if (!file->kind)
		return open_file_refuse(file, err, "%s: files of this kind are not supported",
					file->link ? file->link : "file");
	r = file->kind->look ? file->kind->look(d, file, err) : 0;
	return r < 0 ? r : fown_look(d, file, err);
}

static int look_kinds(struct dump *d, struct error *err)
{
	struct error locks = { 0 };

	for (size_t i = 0; i < d->files->count; i++) {
		struct error reason = { 0 };

		if (look_kind(d, d->files->files[i], &reason) < 0)
			gather_refusal(d, &reason, err);
	}
	if (locks_look(d, &locks) < 0)
		gather_refusal(d, &locks, err);
	if (d->files->refusal_count > 1) {
		size_t used = strlen(err->text);

		(void)snprintf(err->text + used, sizeof(err->text) - used, " (and %zu more, see the log)",
			       d->files->refusal_count - 1);
	}
	return error_is_set(err) ? err->code : 0;
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
	r = path_files_look_programs(d, err);
	if (r == 0)
		r = look_descriptors(d, err);
	if (r < 0)
		return r;
	parallel_run(d->files->count, PARALLEL_FROM, name_files, d);
	r = path_files_look_dirs(d, err);
	return r < 0 ? r : look_kinds(d, err);
}
