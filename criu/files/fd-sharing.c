/*
 * Which descriptors of a tree stand for one description, and which only look alike (identity.c). In large tables the
 * kernel's records tell.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/fd-tables-internal.h"
#include "kernel/bpf-files.h"
#include "kernel/features.h"
#include "kernel/kcmp.h"

/* A group of look-alikes of this size is worth reading fdinfo for, to spare comparing them with each other. */
#define REFINE_FROM 64

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
static size_t list_candidates(const struct fd_table *tables, size_t table_count, struct open_file **files)
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
static int merge_duplicates(struct dump *d, const struct fd_table *tables, size_t table_count, struct open_file **files,
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

int fd_sharing_find(struct dump *d, const struct fd_table *tables, size_t table_count, struct error *err)
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
