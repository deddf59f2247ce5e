/*
 * Files of the tree that have no descriptor: what tasks execute, what they have mapped, where they work. Hundreds of
 * tasks map the same libraries, so each file is looked up once: a mapping is recognised by device, inode and path, all
 * of which its line in /proc/PID/maps has, a directory by device, inode and mount. What has to be open for writing is a
 * file of its own: a reader of the images may open each once, for all mappings of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "kernel/proc-misc.h"
#include "mm/aio.h"
#include "mm/shared-memory.h"

struct path_key {
	dev_t dev;
	uint64_t inode;
	const char *link; /* NULL: any */
	int mnt_id;       /* -1: any */
	bool writable;    /* mapped shared, and may be written */
};

/* --- the table ------------------------------------------------------------------------------------------------ */

/* Where maps and stat(2) disagree about the device (btrfs), mappings are known by what maps says. */
static dev_t key_device(const struct open_file *file)
{
	return (dev_t)file->serial;
}

static bool matches(const struct open_file *file, const struct path_key *key)
{
	return key_device(file) == key->dev && file->st.st_ino == key->inode && file->map_writable == key->writable &&
	       (key->mnt_id < 0 || file->mnt_id == key->mnt_id) && (!key->link || !strcmp(file->link, key->link));
}

/* *ret_count: how many match. Returns the first. */
static struct open_file *find(const struct file_registry *registry, const struct path_key *key, size_t *ret_count)
{
	const struct key_index *index = &registry->path_files;
	struct open_file *first = NULL;

	*ret_count = 0;
	for (size_t at = key_index_first(index, key->inode); at != KEY_INDEX_END; at = key_index_next(index, at)) {
		struct open_file *file = registry->files[key_index_place(index, at)];

		if (!matches(file, key))
			continue;
		if (!first)
			first = file;
		(*ret_count)++;
	}
	return first;
}

static int insert(struct dump *d, struct open_file *file, struct error *err)
{
	if (key_index_add(&d->files->path_files, file->st.st_ino, d->files->count) < 0)
		return error_set(err, -ENOMEM, "%s", file->link);
	return registry_add(d, file, err);
}

void path_files_free(struct dump *d)
{
	key_index_done(&d->files->path_files);
}

/* --- one file ------------------------------------------------------------------------------------------------- */

/* Takes over link. */
static struct open_file *new_file(struct dump *d, struct task *task, char *link, dev_t device)
{
	struct open_file *file = registry_new_files(d->files, 1);

	if (!file) {
		free(link);
		return NULL;
	}
	file->task = task;
	file->fd = -1;
	file->local_fd = -1;
	file->mnt_id = -1;
	file->link = link;
	file->serial = device;
	file->needed = true;
	return file;
}

/* The path is good when it leads to what magic (a link in /proc/PID) leads to. */
static int examine(struct open_file *file, const char *magic)
{
	struct stat by_path;
	bool found = fstatat(AT_FDCWD, file->link, &by_path, AT_SYMLINK_NOFOLLOW) == 0;

	if (fstatat(file->task->procfd, magic, &file->st, 0) < 0)
		return -errno;
	file->name_state = found && by_path.st_dev == file->st.st_dev && by_path.st_ino == file->st.st_ino
			       ? FILE_NAME_GOOD
			       : FILE_NAME_GONE;
	return 0;
}

/* --- mappings and programs ------------------------------------------------------------------------------------ */

static bool is_file_mapping(const struct proc_vma *vma, const char *path)
{
	return vma->inode && path[0] == '/' && !is_shared_memory_vma(vma) && !is_aio_ring(vma, path);
}

/* Of many files few lie on more than one filesystem. */
static bool is_in_overlay(struct file_registry *registry, const struct open_file *file, const char *magic)
{
	AUTO_CLOSE int fd = -1;
	struct statfs fs;

	if (registry->is_last_known && registry->last_dev == file->st.st_dev)
		return registry->is_last_overlay;
	fd = openat(file->task->procfd, magic, O_PATH | O_CLOEXEC);
	registry->is_last_known = true;
	registry->last_dev = file->st.st_dev;
	registry->is_last_overlay = fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC;
	return registry->is_last_overlay;
}

static void read_overlay_btime(struct dump *d, struct open_file *file, const char *magic)
{
	struct statx sx;

	if (S_ISREG(file->st.st_mode) && is_in_overlay(d->files, file, magic) &&
	    statx(file->task->procfd, magic, 0, STATX_BTIME, &sx) == 0 && sx.stx_mask & STATX_BTIME)
		file->overlay_btime_ns = file_policy_ns(sx.stx_btime.tv_sec, sx.stx_btime.tv_nsec);
}

static int examine_mapping(struct dump *d, struct open_file *file, const struct proc_vma *vma)
{
	char magic[64];
	int r = 0;

	(void)snprintf(magic, sizeof(magic), "map_files/%llx-%llx", (unsigned long long)vma->start,
		       (unsigned long long)vma->end);
	file->map_start = vma->start;
	file->map_end = vma->end;
	file->map_writable = proc_vma_may_write_object(vma);
	/* One look-up is enough where the path leads to the inode that maps names. */
	if (fstatat(AT_FDCWD, file->link, &file->st, AT_SYMLINK_NOFOLLOW) == 0 && file->st.st_ino == vma->inode &&
	    file->st.st_dev == makedev(vma->dev_major, vma->dev_minor)) {
		file->name_state = FILE_NAME_GOOD;
	} else {
		r = examine(file, magic);
	}
	if (r == 0)
		read_overlay_btime(d, file, magic);
	return r;
}

static int add_mapping(struct dump *d, struct task *task, const struct proc_vma *vma, const char *path,
		       struct open_file **ret_file, struct error *err)
{
	char *link = proc_map_name(task->procfd, vma->start, vma->end, path);
	struct open_file *file = link ? new_file(d, task, link, makedev(vma->dev_major, vma->dev_minor)) : NULL;
	int r;

	if (!file)
		return error_set(err, -ENOMEM, TASK_FORMAT ": mapped files", TASK_ARGS(task));
	r = examine_mapping(d, file, vma);
	if (r == 0)
		r = insert(d, file, err);
	if (r < 0) {
		(void)error_set(err, r, TASK_FORMAT ", mapping %llx-%llx %s: look at the file", TASK_ARGS(task),
				(unsigned long long)vma->start, (unsigned long long)vma->end, path);
		free(link);
		file->link = NULL;
		return r;
	}
	*ret_file = file;
	return 0;
}

static int look_mapping(struct dump *d, struct task *task, size_t index, struct error *err)
{
	const struct proc_vma *vma = &task->maps.vmas[index];
	const char *path = proc_vma_path(&task->maps, vma);
	struct open_file *file = index ? task->vma_files[index - 1] : NULL;
	struct path_key key = { .dev = makedev(vma->dev_major, vma->dev_minor), .inode = vma->inode, .mnt_id = -1 };
	size_t count;

	if (!is_file_mapping(vma, path))
		return 0;
	key.link = path;
	key.writable = proc_vma_may_write_object(vma);
	if (!file || !matches(file, &key))
		file = find(d->files, &key, &count);
	if (!file) {
		int r = add_mapping(d, task, vma, path, &file, err);

		if (r < 0)
			return r;
	}
	if (vma->prot & PROT_EXEC)
		file->is_program = true;
	task->vma_files[index] = file;
	return 0;
}

static int add_program(struct dump *d, struct task *task, const struct stat *st, struct error *err)
{
	struct path_key key = { .dev = st->st_dev, .inode = st->st_ino, .mnt_id = -1 };
	AUTO_FREE char *link = NULL;
	struct open_file *file;
	size_t count;
	int r;

	r = proc_read_link(task->procfd, "exe", &link);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read its exe link", TASK_ARGS(task));
	key.link = link;
	task->exe = find(d->files, &key, &count);
	if (task->exe)
		return 0;
	file = new_file(d, task, TAKE_PTR(link), st->st_dev);
	if (!file)
		return error_set(err, -ENOMEM, TASK_FORMAT ": its program", TASK_ARGS(task));
	r = examine(file, "exe");
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": look at its program", TASK_ARGS(task));
	task->exe = file;
	return insert(d, file, err);
}

/* A task that stands at the same places as its parent, as the kernel says, shares what was found for it. */
static const struct task_facts *facts_of(const struct task *task)
{
	return task && !task->is_zombie ? task->threads[0].facts : NULL;
}

static int look_program(struct dump *d, struct task *task, struct error *err)
{
	const struct task_facts *facts = facts_of(task), *parent = facts_of(task->parent);
	struct path_key key = { .mnt_id = -1 };
	struct stat st;
	size_t count;
	int r;

	if (facts && parent && facts->exe == parent->exe) {
		task->exe = task->parent->exe;
		return 0;
	}
	if (fstatat(task->procfd, "exe", &st, 0) < 0)
		return error_set(err, -errno, TASK_FORMAT ": look at its program", TASK_ARGS(task));
	key.dev = st.st_dev;
	key.inode = st.st_ino;
	task->exe = find(d->files, &key, &count);
	if (count != 1) { /* unknown, or an inode with several names */
		r = add_program(d, task, &st, err);
		if (r < 0)
			return r;
	}
	task->exe->is_program = true;
	return 0;
}

int path_files_look_programs(struct dump *d, struct error *err)
{
	for_each_task (d, task) {
		int r;

		if (task->is_zombie)
			continue;
		task->vma_files = calloc(task->maps.count + 1, sizeof(*task->vma_files));
		if (!task->vma_files)
			return error_set(err, -ENOMEM, TASK_FORMAT ": mapped files", TASK_ARGS(task));
		r = look_program(d, task, err);
		for (size_t i = 0; r == 0 && i < task->maps.count; i++)
			r = look_mapping(d, task, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- directories -------------------------------------------------------------------------------------------------- */

static int look_dir(struct dump *d, struct task *task, const char *name, struct open_file **ret_file, struct error *err)
{
	struct path_key key = { .mnt_id = -1 };
	struct open_file *file;
	struct statx sx;
	char *link;
	size_t count;
	int r;

	if (statx(task->procfd, name, AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID, &sx) < 0)
		return error_set(err, -errno, TASK_FORMAT ": look at its %s directory", TASK_ARGS(task), name);
	key.dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	key.inode = sx.stx_ino;
	if (sx.stx_mask & STATX_MNT_ID)
		key.mnt_id = (int)sx.stx_mnt_id;
	*ret_file = find(d->files, &key, &count);
	if (count == 1)
		return 0;
	r = proc_read_link(task->procfd, name, &link);
	if (r == -ENAMETOOLONG)
		error_hint(err, "the kernel does not tell paths of more than 4095 bytes: rename what is above it");
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read its %s link", TASK_ARGS(task), name);
	file = new_file(d, task, link, key.dev);
	if (!file)
		return error_set(err, -ENOMEM, TASK_FORMAT ": its %s directory", TASK_ARGS(task), name);
	file->mnt_id = key.mnt_id;
	*ret_file = file;
	r = examine(file, name);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": look at its %s directory", TASK_ARGS(task), name);
	return insert(d, file, err);
}

static bool is_same_place(const struct path_fact *a, const struct path_fact *b)
{
	return a->mount == b->mount && a->entry == b->entry;
}

int path_files_look_dirs(struct dump *d, struct error *err)
{
	for_each_task (d, task) {
		const struct task_facts *facts = facts_of(task), *parent = facts_of(task->parent);
		int r = 0;

		if (task->is_zombie)
			continue;
		if (facts && parent && is_same_place(&facts->cwd, &parent->cwd))
			task->cwd = task->parent->cwd;
		else
			r = look_dir(d, task, "cwd", &task->cwd, err);
		if (r == 0 && facts && parent && is_same_place(&facts->root, &parent->root))
			task->root = task->parent->root;
		else if (r == 0)
			r = look_dir(d, task, "root", &task->root, err);
		if (r < 0)
			return r;
	}
	return 0;
}
