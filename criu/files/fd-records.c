/*
 * Large descriptor tables: the kernel's records tell what most descriptors are, as far as they go (file-facts.h). Of
 * the rest each path is asked once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/key-index.h"
#include "base/parallel.h"
#include "engine/dump.h"
#include "files/fd-tables-internal.h"
#include "files/file-facts.h"
#include "kernel/pidfd.h"

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
	int r = local < 0 ? local : fd_probe_stat(local, "", file);

	if (r < 0)
		return r;
	if (fd_probe_has_position(file))
		file->pos = is_place_known(file) ? file->facts->position : fd_probe_position(local);
	if (file->facts->owner)
		fown_read(local, &file->owner);
	fd_probe_write_hint(local, file);
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
	if (fd_probe_has_write_hint(file)) {
		if (!fd_probe_has_write_hint(like))
			return false;
		file->write_hint = like->write_hint;
	}
	if (!fd_probe_has_position(file))
		return true;
	file->pos = file->facts->position;
	return is_place_known(file);
}

/* The kernel's records tell most; of the rest each path is asked once. */
struct record_probe {
	struct fd_probe *probe;
	const struct bpf_file *records;
	size_t count;
	struct key_index by_path; /* places of those among the records that are asked first for their path */
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

static uint64_t path_key(const struct bpf_file *record)
{
	return record->entry ^ record->mount << 1;
}

/* The first one of this path, NULL. */
static struct open_file *find_path(const struct record_probe *records, const struct bpf_file *record)
{
	const struct key_index *index = &records->by_path;

	for (size_t at = key_index_first(index, path_key(record)); at != KEY_INDEX_END;
	     at = key_index_next(index, at)) {
		struct open_file *file = &records->probe->files[key_index_place(index, at)];

		if (is_one_path(file->facts, record))
			return file;
	}
	return NULL;
}

static void sort_record(struct record_probe *records, const struct file_facts *facts, struct open_file *file)
{
	struct open_file *first;

	if (file_facts_fill(facts, file->facts, file))
		return;
	first = find_path(records, file->facts);
	if (first && !file->facts->owner) {
		records->likes[records->like_count++] = (struct like){ .file = file, .like = first };
		return;
	}
	/* Without memory for it others of this path are asked, too. */
	if (!first)
		(void)key_index_add(&records->by_path, path_key(file->facts), (size_t)(file - records->probe->files));
	records->asked[records->asked_count++] = file;
}

/* Whether the parent has this very description under this number. */
static struct open_file *find_inherited_record(const struct fd_probe *probe, const struct bpf_file *record)
{
	struct open_file *file = fd_probe_parent_file(probe->parent, (int)record->fd);

	if (file && file->facts)
		return file->facts->id == record->id ? file : NULL;
	return file ? fd_probe_inherited(probe, (int)record->fd) : NULL;
}

static void sort_records(struct record_probe *records, const struct file_facts *facts)
{
	const struct fd_probe *probe = records->probe;

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
	r = fd_probe_report(records->probe, err);
	if (r < 0)
		return r;
	records->asked_count = 0;
	for (size_t i = 0; i < records->like_count; i++)
		if (!take_from_like(records->likes[i].like, records->likes[i].file))
			records->asked[records->asked_count++] = records->likes[i].file;
	ask_range(records, 0, records->asked_count);
	return fd_probe_report(records->probe, err);
}

static int probe_records(struct dump *d, struct fd_probe *probe, const struct bpf_file *listed, size_t count,
			 struct error *err)
{
	AUTO_FREE struct probed_fd *items = calloc(count + 1, sizeof(struct probed_fd));
	AUTO_FREE struct open_file **asked = calloc(count + 1, sizeof(struct open_file *));
	AUTO_FREE struct like *likes = calloc(count + 1, sizeof(struct like));
	struct record_probe records = {
		.probe = probe,
		.records = listed,
		.count = count,
		.asked = asked,
		.likes = likes,
	};
	int r = 0;

	probe->items = items;
	probe->files = registry_new_files(d->files, count);
	if (!probe->files || !items || !asked || !likes)
		r = -ENOMEM;
	if (r == 0) {
		sort_records(&records, d->file_facts);
		key_index_done(&records.by_path);
		r = ask_records(&records, err);
		if (r < 0)
			return r;
		r = fd_probe_add(probe, count);
	}
	return r < 0 ? error_set(err, r, TASK_FORMAT ": descriptors", TASK_ARGS(probe->task)) : 0;
}

bool fd_records_probe(struct dump *d, struct fd_probe *probe, size_t count, struct error *err, int *ret_r)
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
