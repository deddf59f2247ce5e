/*
 * The descriptor tables of a tree. Tables shared by several tasks are found first; each descriptor is borrowed with
 * pidfd_getfd(2) and asked what it is, or in large tables told by the kernel's own records as far as those go. What a
 * child has inherited is recognised by comparing it with its parent's descriptor of the same number; among the others,
 * those that stand for one description are told from those that only look alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/file-facts.h"
#include "files/registry.h"
#include "kernel/bpf-files.h"
#include "kernel/features.h"
#include "kernel/kcmp.h"
#include "kernel/pidfd.h"
#include "kernel/proc-list.h"

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
	st->st_ctim = (struct timespec){ sx->stx_ctime.tv_sec, sx->stx_ctime.tv_nsec };
}

/* Fills a stat and the mount id with one call; AT_EMPTY_PATH for dirfd itself. */
static int stat_file(int dirfd, const char *path, struct open_file *file)
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

static bool has_position(const struct open_file *file)
{
	return !(file->flags & O_PATH) && (S_ISREG(file->st.st_mode) || S_ISDIR(file->st.st_mode) ||
					   S_ISBLK(file->st.st_mode) || S_ISCHR(file->st.st_mode));
}

static uint64_t position_of(int fd)
{
	off_t pos = lseek(fd, 0, SEEK_CUR);

	return pos < 0 ? 0 : (uint64_t)pos;
}

/* -EBADF: the table has no such descriptor. */
static int probe_fd(struct task *task, int fd, bool keep_local, struct open_file *file)
{
	AUTO_CLOSE int local = pidfd_getfd_from(task->acting_pidfd, fd);
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
	if (has_position(file))
		file->pos = position_of(local);
	fown_read(local, &file->owner);
	if (keep_local && (S_ISSOCK(file->st.st_mode) || S_ISFIFO(file->st.st_mode)))
		file->local_fd = take_fd(&local);
	return 0;
}

static void take_record(struct task *task, const struct bpf_file *from, struct open_file *file)
{
	file->task = task;
	file->fd = (int)from->fd;
	file->local_fd = -1;
	file->facts = from;
	file->flags = (uint32_t)from->flags & ~(uint32_t)O_CLOEXEC;
}

/* Reading the place in a device may be more than that; at the start it is nothing. */
static bool is_place_known(const struct open_file *file)
{
	return !S_ISCHR(file->st.st_mode) || file->facts->position == 0;
}

static int ask_file(struct open_file *file)
{
	AUTO_CLOSE int local = pidfd_getfd_from(file->task->acting_pidfd, file->fd);
	int r = local < 0 ? local : stat_file(local, "", file);

	if (r < 0)
		return r;
	if (has_position(file))
		file->pos = is_place_known(file) ? file->facts->position : position_of(local);
	if (file->facts->owner)
		fown_read(local, &file->owner);
	return 0;
}

/* What was opened by the same path is the same inode in the same mount. False: this one has to be asked as well. */
static bool take_from_like(const struct open_file *like, struct open_file *file)
{
	if (!like->st.st_dev && !like->st.st_ino)
		return false; /* it is gone */
	file->st = like->st;
	file->btime_ns = like->btime_ns;
	file->mnt_id = like->mnt_id;
	if (!has_position(file))
		return true;
	file->pos = file->facts->position;
	return is_place_known(file);
}

/* --- one table ------------------------------------------------------------------------------------------------ */

const struct task_fd *fd_table_find(const struct task *owner, int fd)
{
	size_t low = 0, high = owner->fd_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (owner->fds[middle].fd == fd)
			return &owner->fds[middle];
		if (owner->fds[middle].fd < fd)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* What the task that a table may have been inherited from has under this number. */
static struct open_file *find_fd(const struct task *parent, int fd)
{
	const struct task_fd *found = parent ? fd_table_find(parent, fd) : NULL;

	return found ? found->file : NULL;
}

struct probed_fd {
	int fd;             /* -1: there is no such descriptor */
	bool close_on_exec; /* where that is known */
	struct open_file *file;
};

struct table_probe {
	struct task *task;
	const struct task *parent; /* whose descriptors may have been inherited, or NULL */
	const int *numbers;        /* NULL: item i is descriptor first + i */
	int first;
	struct open_file *files; /* one for each item, used where nothing was inherited */
	struct probed_fd *items;
	bool keep_local;
	size_t wanted; /* descriptors in the whole table, 0 while unknown */
	atomic_size_t found;
	atomic_int error;
	atomic_int error_fd;
};

/* The description that the parent has under this number, if it is the same; a comparison is cheaper than a look. */
static struct open_file *find_inherited(const struct table_probe *probe, int fd)
{
	struct open_file *file = find_fd(probe->parent, fd);
	int order;

	if (!file || kcmp_files(file->task->acting_tid, file->fd, probe->task->acting_tid, fd, &order) < 0 ||
	    order != 0)
		return NULL;
	return file;
}

static int number_of(const struct table_probe *probe, size_t index)
{
	return probe->numbers ? probe->numbers[index] : probe->first + (int)index;
}

static int probe_item(const struct table_probe *probe, size_t index)
{
	struct probed_fd *item = &probe->items[index];
	int fd = number_of(probe, index), r;

	item->fd = -1;
	item->file = find_inherited(probe, fd);
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
	struct table_probe *probe = ctx;

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

static int add_fds(const struct table_probe *probe, size_t count)
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

static int report_probe(const struct table_probe *probe, struct error *err)
{
	int r = atomic_load(&probe->error);

	return r < 0 ? error_set(err, r, TASK_FORMAT ", fd %d: borrow the descriptor", TASK_ARGS(probe->task),
				 atomic_load(&probe->error_fd))
		     : 0;
}

/* Asks for count numbers and adds those that are descriptors to the table. */
static int probe_items(struct dump *d, struct table_probe *probe, size_t count, struct error *err)
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
	r = report_probe(probe, err);
	if (r < 0)
		return r;
	r = add_fds(probe, count);
	return r < 0 ? error_set(err, r, TASK_FORMAT ": descriptors", TASK_ARGS(probe->task)) : 0;
}

static int probe_listed(struct dump *d, struct table_probe *probe, struct error *err)
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
static int probe_dense(struct dump *d, struct table_probe *probe, size_t count, size_t table_size, struct error *err)
{
	int r;

	probe->wanted = count;
	r = probe_items(d, probe, count, err);
	if (r < 0 || probe->task->fd_count == count || table_size <= count)
		return r;
	probe->first = (int)count;
	return probe_items(d, probe, table_size - count, err);
}

/* --- one large table ---------------------------------------------------------------------------------------------- */

/* The kernel's records tell most; of the rest each path is asked once. */
struct record_probe {
	struct table_probe *probe;
	const struct bpf_file *records;
	size_t count;
	struct open_file **by_path; /* hash table of those that are asked, by path */
	size_t path_capacity;
	struct open_file **asked;
	size_t asked_count;
	struct like {
		struct open_file *file;
		const struct open_file *like;
	} * likes; /* opened by the path of one that is asked */
	size_t like_count;
};

static bool is_one_path(const struct bpf_file *a, const struct bpf_file *b)
{
	return a->mount == b->mount && a->entry == b->entry && a->inode == b->inode;
}

/* The first one of this path; a free slot when there is none. */
static struct open_file **find_path(const struct record_probe *records, const struct bpf_file *record)
{
	size_t at = (size_t)(((record->entry ^ record->mount << 1) * 0x9e3779b97f4a7c15ull) >> 32);

	for (;; at++) {
		struct open_file **slot = &records->by_path[at & (records->path_capacity - 1)];

		if (!*slot || is_one_path((*slot)->facts, record))
			return slot;
	}
}

static void sort_record(struct record_probe *records, const struct file_facts *facts, struct open_file *file)
{
	struct open_file **first;

	if (file_facts_fill(facts, file->facts, file))
		return;
	first = find_path(records, file->facts);
	if (*first && !file->facts->owner) {
		records->likes[records->like_count++] = (struct like){ .file = file, .like = *first };
		return;
	}
	if (!*first)
		*first = file;
	records->asked[records->asked_count++] = file;
}

/* Whether the parent has this very description under this number. */
static struct open_file *find_inherited_record(const struct table_probe *probe, const struct bpf_file *record)
{
	struct open_file *file = find_fd(probe->parent, (int)record->fd);

	if (file && file->facts)
		return file->facts->id == record->id ? file : NULL;
	return file ? find_inherited(probe, (int)record->fd) : NULL;
}

static void sort_records(struct record_probe *records, const struct file_facts *facts)
{
	const struct table_probe *probe = records->probe;

	for (size_t i = 0; i < records->count; i++) {
		const struct bpf_file *record = &records->records[i];
		struct open_file *file = find_inherited_record(probe, record);

		if (!file) {
			file = &probe->files[i];
			take_record(probe->task, record, file);
			sort_record(records, facts, file);
		}
		probe->items[i] =
		    (struct probed_fd){ .fd = (int)record->fd, .close_on_exec = BPF_FILE_CLOSES(record), .file = file };
	}
}

static void ask_range(void *ctx, size_t begin, size_t end)
{
	struct record_probe *records = ctx;

	for (size_t i = begin; i < end; i++) {
		int r = ask_file(records->asked[i]);

		if (r == -EBADF) {
			records->probe->items[records->asked[i] - records->probe->files].fd = -1;
			continue;
		}
		if (r == 0)
			continue;
		atomic_store(&records->probe->error_fd, records->asked[i]->fd);
		atomic_store(&records->probe->error, r);
		return;
	}
}

/* Those like them come last: what they are like is known then. */
static int ask_records(struct record_probe *records, struct error *err)
{
	int r;

	parallel_run(records->asked_count, PARALLEL_FROM, ask_range, records);
	r = report_probe(records->probe, err);
	if (r < 0)
		return r;
	records->asked_count = 0;
	for (size_t i = 0; i < records->like_count; i++)
		if (!take_from_like(records->likes[i].like, records->likes[i].file))
			records->asked[records->asked_count++] = records->likes[i].file;
	ask_range(records, 0, records->asked_count);
	return report_probe(records->probe, err);
}

static size_t path_capacity(size_t count)
{
	size_t capacity = 16;

	while (capacity < 2 * count)
		capacity *= 2;
	return capacity;
}

static int probe_records(struct dump *d, struct table_probe *probe, const struct bpf_file *listed, size_t count,
			 struct error *err)
{
	const size_t capacity = path_capacity(count);
	AUTO_FREE struct probed_fd *items = calloc(count + 1, sizeof(struct probed_fd));
	AUTO_FREE struct open_file **by_path = calloc(capacity, sizeof(struct open_file *));
	AUTO_FREE struct open_file **asked = calloc(count + 1, sizeof(struct open_file *));
	AUTO_FREE struct like *likes = calloc(count + 1, sizeof(struct like));
	struct record_probe records = {
		.probe = probe,
		.records = listed,
		.count = count,
		.by_path = by_path,
		.path_capacity = capacity,
		.asked = asked,
		.likes = likes,
	};
	int r = 0;

	probe->items = items;
	probe->files = registry_new_files(d->files, count);
	if (!probe->files || !items || !by_path || !asked || !likes)
		r = -ENOMEM;
	if (r == 0) {
		sort_records(&records, d->file_facts);
		r = ask_records(&records, err);
		if (r < 0)
			return r;
		r = add_fds(probe, count);
	}
	return r < 0 ? error_set(err, r, TASK_FORMAT ": descriptors", TASK_ARGS(probe->task)) : 0;
}

/* True when the whole table was read that way. */
static bool probe_by_records(struct dump *d, struct table_probe *probe, size_t count, struct error *err, int *ret_r)
{
	const struct bpf_file *listed;
	size_t listed_count = 0;

	if (count < FILE_FACTS_FROM)
		return false;
	if (!d->file_facts)
		d->file_facts = file_facts_start(false);
	if (!file_facts_are_ready(d->file_facts) ||
	    file_facts_list(d->file_facts, probe->task, &listed, &listed_count) < 0 || listed_count != count)
		return false;
	*ret_r = probe_records(d, probe, listed, count, err);
	probe->task->knows_close_on_exec = *ret_r == 0;
	return true;
}

/* --- any table --------------------------------------------------------------------------------------------------- */

struct table {
	struct task *task;
	size_t count; /* 0: unknown (before Linux 6.2) or empty */
	size_t table_size;
};

static const struct task *table_to_inherit(const struct task *task)
{
	return task->parent && !task->parent->is_zombie ? task->parent->files_owner : NULL;
}

static int probe_table(struct dump *d, const struct table *table, struct error *err)
{
	struct task *task = table->task;
	struct table_probe probe = {
		.task = task,
		.parent = table_to_inherit(task),
		.keep_local = d->files->keep_local,
	};
	int r = 0;

	task->fds = calloc(1, sizeof(*task->fds));
	if (!task->fds)
		return error_set(err, -ENOMEM, TASK_FORMAT ": descriptors", TASK_ARGS(task));
	if (probe_by_records(d, &probe, table->count, err, &r))
		return r;
	if (table->count && table->table_size <= 2 * table->count + 64) {
		r = probe_dense(d, &probe, table->count, table->table_size, err);

		if (r < 0 || task->fd_count == table->count)
			return r;
		task->fd_count = 0; /* the numbers did not tell the truth: ask for the list itself */
	}
	return probe_listed(d, &probe, err);
}

/* --- tables of the tree --------------------------------------------------------------------------------------- */

static int compare_tables(const struct table *a, const struct table *b, int *ret_order)
{
	const struct task_facts *one = a->task->threads[0].facts, *other = b->task->threads[0].facts;

	if (a->count != b->count)
		*ret_order = a->count < b->count ? -1 : 1;
	else if (a->table_size != b->table_size)
		*ret_order = a->table_size < b->table_size ? -1 : 1;
	else if (one && other)
		*ret_order = one->files < other->files ? -1 : one->files > other->files;
	else
		return kcmp_object(KCMP_KIND_FILES, a->task->acting_tid, b->task->acting_tid, ret_order);
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

/* Where the kernel's records are there for all, nothing has to be asked. */
static bool number_by_records(struct open_file *const *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!files[i]->facts)
			return false;
	for (size_t i = 0; i < count; i++)
		files[i]->serial = files[i]->facts->id;
	return true;
}

static int compare_descriptions(const struct open_file *a, const struct open_file *b, int *ret_order)
{
	return kcmp_files(a->task->acting_tid, a->fd, b->task->acting_tid, b->fd, ret_order);
}

/* The kernel's own identities of one table, into the files of a run with the same task. */
static int identify_table(int program_fd, struct open_file **files, size_t count)
{
	AUTO_FREE struct bpf_file *listed = NULL;
	size_t listed_count = 0, at = 0;
	int r = bpf_files_list(program_fd, files[0]->task->acting_tid, &listed, &listed_count);

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
	AUTO_CLOSE int program_fd = feature_is_masked("bpf_files") ? -EOPNOTSUPP : bpf_files_open();
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
	AUTO_FDINFO struct fdinfo info = { 0 };

	for (size_t i = begin; i < end; i++) {
		if (fdinfo_read(files[i]->task->procfd, files[i]->fd, &info) < 0 ||
		    fdinfo_number(&info, "eventfd-id", 10, &files[i]->serial) < 0)
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

/* Every file that some table has and did not inherit, in the order of tasks and numbers. */
static size_t list_candidates(const struct table *tables, size_t table_count, struct open_file **files)
{
	size_t count = 0;

	for (size_t t = 0; t < table_count; t++) {
		const struct task *task = tables[t].task;

		for (size_t i = 0; i < task->fd_count; i++) {
			struct open_file *file = task->fds[i].file;

			if (file->task != task || file->fd != task->fds[i].fd)
				continue;
			if (files)
				files[count] = file;
			count++;
		}
	}
	return count;
}

/* Registers the first file of each description and puts it in place of its duplicates. */
static int merge_duplicates(struct dump *d, const struct table *tables, size_t table_count, struct open_file **files,
			    const size_t *first, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int r;

		files[i]->same = files[first[i]];
		if (first[i] != i) {
			close_fd(&files[i]->local_fd);
			continue;
		}
		files[i]->needed = true;
		r = registry_add(d, files[i], err);
		if (r < 0)
			return r;
	}
	for (size_t t = 0; t < table_count; t++)
		for (size_t i = 0; i < tables[t].task->fd_count; i++)
			tables[t].task->fds[i].file = tables[t].task->fds[i].file->same;
	return 0;
}

static int find_shared_descriptions(struct dump *d, const struct table *tables, size_t table_count, struct error *err)
{
	static const struct file_order by_asking = {
		.compare = compare_descriptions,
		.identify = identify_files,
		.refine = refine_group,
	};
	size_t count = list_candidates(tables, table_count, NULL);
	AUTO_FREE struct open_file **files = calloc(count + 1, sizeof(struct open_file *));
	AUTO_FREE size_t *first = calloc(count + 1, sizeof(size_t));
	int r;

	if (!files || !first)
		return error_set(err, -ENOMEM, "%zu open files", count);
	(void)list_candidates(tables, table_count, files);
	r = number_by_records(files, count) ? identity_by_serials(files, count, first)
					    : identity_resolve(d, files, count, &by_asking, first);
	if (r < 0)
		return error_set(err, r, "compare open files");
	return merge_duplicates(d, tables, table_count, files, first, count, err);
}

/* A table is as large as it ever was: only where it is large the descriptors are counted. */
void files_prepare(struct dump *d, size_t table_size)
{
	struct stat st;

	if (table_size < FILE_FACTS_FROM || fstatat(d->tasks[0]->procfd, "fd", &st, 0) < 0 ||
	    st.st_size < FILE_FACTS_FROM)
		return;
	parallel_make_room(d->tasks[0]->procfd, (size_t)st.st_size + 512);
	d->file_facts = file_facts_start(true);
}

void files_look_ahead(struct dump *d)
{
	file_facts_list_ahead(d->file_facts, d->tasks[0]);
}

int fd_tables_look(struct dump *d, struct error *err)
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
