/*
 * The descriptor tables of a tree. Tables shared by several tasks are found first; each descriptor is borrowed and
 * asked what it is (fd-probe.c), or in large tables told by the kernel's own records as far as those go (fd-records.c).
 * What a child has inherited is recognised by comparing it with its parent's descriptor of the same number; among the
 * others, those that stand for one description are told from those that only look alike (fd-sharing.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "engine/dump.h"
#include "files/fd-tables-internal.h"
#include "files/file-facts.h"
#include "files/fuse.h"
#include "kernel/kcmp.h"

/* Numbers for images: the first one is left to whoever dumps. */
#define FIRST_FILES_ID 2

/* --- one table --------------------------------------------------------------------------------------------------- */

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

static const struct task *table_to_inherit(const struct task *task)
{
	return task->parent && !task->parent->is_zombie ? task->parent->files_owner : NULL;
}

static int probe_table(struct dump *d, const struct fd_table *table, struct error *err)
{
	struct task *task = table->task;
	struct fd_probe probe = {
		.task = task,
		.parent = table_to_inherit(task),
		.keep_local = d->files->keep_local,
	};
	int r = 0;

	task->fds = calloc(1, sizeof(*task->fds));
	if (!task->fds)
		return error_set(err, -ENOMEM, TASK_FORMAT ": descriptors", TASK_ARGS(task));
	if (fd_records_probe(d, &probe, table->count, err, &r))
		return r;
	if (table->count && table->table_size <= 2 * table->count + 64) {
		r = fd_probe_dense(d, &probe, table->count, table->table_size, err);

		if (r < 0 || task->fd_count == table->count)
			return r;
		task->fd_count = 0; /* the numbers did not tell the truth: ask for the list itself */
	}
	return fd_probe_listed(d, &probe, err);
}

/* --- tables of the tree --------------------------------------------------------------------------------------- */

static int compare_tables(const struct fd_table *a, const struct fd_table *b, int *ret_order)
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
static int insert_table(struct fd_table *tables, size_t *count, const struct fd_table *table, struct task **ret_owner)
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

static int read_table(struct task *task, struct fd_table *ret, struct error *err)
{
	struct stat st;

	if (fstatat(task->procfd, "fd", &st, 0) < 0)
		return error_set(err, -errno, TASK_FORMAT ": its descriptor table", TASK_ARGS(task));
	*ret = (struct fd_table){ .task = task,
				  .count = (size_t)st.st_size,
				  .table_size = (size_t)task->threads[0].status.fd_table_size };
	return 0;
}

/* The kernel gives a table to nobody but a new process: that of its creator, its parent or an older sibling. */
static bool can_be_given(const struct task *task)
{
	if (!task->parent || task->vfork_parent || task->parent->files_owner == task->files_owner)
		return true;
	for (const struct task *at = task->parent->first_child; at && at != task; at = at->next_sibling)
		if (!at->is_zombie && at->files_owner == task->files_owner && at->maker_tid == task->maker_tid &&
		    (at->stat.sid == task->stat.sid || task->stat.sid == task->host_pid))
			return true;
	return false;
}

static void refuse_ungiven(struct dump *d)
{
	for_each_task (d, task) {
		struct error reason = { 0 };

		if (task->is_zombie || task->files_owner == task || can_be_given(task))
			continue;
		error_hint(&reason, "have one of them call unshare(CLONE_FILES) or execute a program before the dump");
		(void)error_say(&reason, -ENOTSUP,
				TASK_FORMAT ": shares its descriptor table with pid %d (%s), but not with its parent, "
					    "%d (%s), nor with an older sibling of its session",
				TASK_ARGS(task), task->files_owner->host_pid, task->files_owner->comm,
				task->parent->host_pid, task->parent->comm);
		refusals_add(&d->refusals, &reason);
	}
}

/* Tells which tasks share a table, and lists the distinct ones in the order of tasks. */
static int find_tables(struct dump *d, struct fd_table *ret_tables, size_t *ret_count, struct error *err)
{
	AUTO_FREE struct fd_table *sorted = calloc(d->task_count + 1, sizeof(struct fd_table));
	size_t sorted_count = 0, count = 0;
	uint32_t files_id = FIRST_FILES_ID;

	if (!sorted)
		return error_set(err, -ENOMEM, "descriptor tables");
	for_each_task (d, task) {
		struct fd_table table;
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
	refuse_ungiven(d);
	*ret_count = count;
	return 0;
}

/* Descriptors of ours stay open between look and save where the limit leaves plenty of room. */
static bool may_keep_local(const struct fd_table *tables, size_t count)
{
	struct rlimit limit;
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += tables[i].count ? tables[i].count : tables[i].table_size;
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && total + 512 < limit.rlim_cur / 2;
}

/* A table is as large as it ever was: only where it is large the descriptors are counted. */
void files_prepare(struct dump *d, size_t table_size)
{
	struct stat st;

	d->has_fuse = fuse_is_mounted(d->tasks[0]->procfd);
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
	AUTO_FREE struct fd_table *tables = calloc(d->task_count + 1, sizeof(struct fd_table));
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
	return fd_sharing_find(d, tables, count, err);
}
