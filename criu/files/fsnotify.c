/*
 * Inotify and fanotify: what is watched, for what, and under which number. fdinfo tells an inode by device, number and
 * file handle; the handle is opened to learn the path, and where that fails (a filesystem without handles) the object
 * is looked for among the mounts, the open files of the tree and below --irmap-scan-path. Without a path the handle
 * alone is saved, which means something on the same filesystem only.
 *
 * Watches come back when the descriptors of all tasks are in place, so that the restore itself is not what they report.
 * Events that were not read yet cannot be put back: they are named as lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/inode-path.h"
#include "files/opener.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/fsnotify.pb-c.h"
#include "kernel/inotify-number.h"
#include "kernel/missing-fs.h"
#include "kernel/kernel-memory.h"
#include "kernel/pidfd.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"

/* Of what inotify shows only these were given to it. */
#define WATCH_MASK (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT)

/* Numbers of inotify are given out one after the other: up to here some seconds are enough. */
#define WATCH_LIMIT (1u << 24)

struct watch {
	bool is_mount, is_filesystem;
	uint32_t wd, mask, ignored_mask, mark_flags, mnt_id;
	struct inode_path object; /* without a path the handle has to do; of a mount: that alone */
};

/* One block: the paths stand behind the watches. */
struct watches {
	size_t count;
	uint32_t init_flags, event_flags; /* of fanotify */
	struct watch items[];
};

/* --- dump: fdinfo --------------------------------------------------------------------------------------------- */

static bool is_inotify(const struct dump *d, const struct open_file *file)
{
	return file->link && !strcmp(file->link, "anon_inode:inotify");
}

static bool is_fanotify(const struct dump *d, const struct open_file *file)
{
	return file->link && !strcmp(file->link, "anon_inode:[fanotify]");
}

static int word(const char *row, const char *name, uint32_t *ret)
{
	uint64_t value;
	int r = fdinfo_word_number(row, name, 16, &value);

	if (r == 0)
		*ret = (uint32_t)value;
	return r;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void read_handle(const char *row, struct watch *watch)
{
	const char *hex = fdinfo_word(row, "f_handle");
	uint32_t bytes = 0;

	if (!hex || word(row, "fhandle-bytes", &bytes) < 0 ||
	    word(row, "fhandle-type", &watch->object.handle.type) < 0 || bytes > INODE_HANDLE_BYTES)
		return;
	for (uint32_t i = 0; i < bytes; i++) {
		int high = hex_digit(hex[2 * i]), low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);

		if (low < 0)
			return;
		watch->object.handle.data[i] = (uint8_t)(high << 4 | low);
	}
	watch->object.handle.bytes = bytes;
}

static int read_inode(const char *row, struct watch *watch)
{
	int r = fdinfo_word_number(row, "ino", 16, &watch->object.inode);

	if (r == 0)
		r = word(row, "sdev", &watch->object.sdev);
	if (r == 0)
		r = word(row, "mask", &watch->mask);
	if (r == 0)
		r = word(row, "ignored_mask", &watch->ignored_mask);
	read_handle(row, watch);
	return r;
}

static int read_watch(const char *row, struct watch *watch)
{
	int r = word(row, "wd", &watch->wd);

	return r < 0 ? r : read_inode(row, watch);
}

static int read_mark(const char *row, struct watch *watch)
{
	int r = word(row, "mflags", &watch->mark_flags);

	if (r == 0 && word(row, "mnt_id", &watch->mnt_id) == 0) {
		watch->is_mount = true;
		r = word(row, "mask", &watch->mask);
		return r < 0 ? r : word(row, "ignored_mask", &watch->ignored_mask);
	}
	if (r == 0 && !fdinfo_word(row, "ino")) {
		watch->is_filesystem = true;
		return 0;
	}
	return r < 0 ? r : read_inode(row, watch);
}

static struct watches *new_watches(const struct fdinfo *info, const char *key)
{
	size_t count = 0;

	for (size_t at = 0; fdinfo_next(info, key, &at);)
		count++;
	return calloc(1, sizeof(struct watches) + count * sizeof(struct watch));
}

static int read_inotify(struct open_file *file, const struct fdinfo *info)
{
	struct watches *watches = new_watches(info, "inotify");
	const char *row;
	int r = 0;

	file->kind_data = watches;
	if (!watches)
		return -ENOMEM;
	for (size_t at = 0; r == 0 && (row = fdinfo_next(info, "inotify", &at));)
		r = read_watch(row, &watches->items[watches->count++]);
	return r;
}

/* The first row describes the group. */
static int read_fanotify(struct open_file *file, const struct fdinfo *info)
{
	struct watches *watches = new_watches(info, "fanotify");
	const char *row;
	int r = 0;

	file->kind_data = watches;
	if (!watches)
		return -ENOMEM;
	for (size_t at = 0; r == 0 && (row = fdinfo_next(info, "fanotify", &at));) {
		if (word(row, "flags", &watches->init_flags) == 0)
			r = word(row, "event-flags", &watches->event_flags);
		else
			r = read_mark(row, &watches->items[watches->count++]);
	}
	return r;
}

/* --- dump: what it watches ---------------------------------------------------------------------------------------- */

static int refuse_lost(const struct open_file *file, const struct inode_path *object, struct error *err)
{
	dev_t device = inode_path_device(object->sdev);

	error_hint(err, "--irmap-scan-path DIRECTORY searches there; the object may also have been removed");
	return open_file_refuse(file, err, "the object it watches, inode %llu on device %u:%u, is not found",
				(unsigned long long)object->inode, major(device), minor(device));
}

/* What is not found otherwise is searched for, all at once. */
static int resolve_inodes(struct dump *d, const struct open_file *file, const struct proc_mounts *mounts,
			  struct watches *watches, struct error *err)
{
	AUTO_FREE struct inode_path **missing = calloc(watches->count + 1, sizeof(*missing));
	size_t count = 0;

	if (!missing)
		return open_file_error(file, err, -ENOMEM, "look");
	for (size_t i = 0; i < watches->count; i++) {
		struct watch *watch = &watches->items[i];

		if (!watch->is_mount && inode_path_find(d, mounts, &watch->object) < 0 &&
		    (watch->object.exists || inode_path_ask_kernel(d, file, mounts, &watch->object) < 0))
			missing[count++] = &watch->object;
	}
	inode_path_search(d, missing, count);
	for (size_t i = 0; i < count; i++)
		if (!missing[i]->path && !missing[i]->exists)
			return refuse_lost(file, missing[i], err);
	return 0;
}

static int resolve_mount(const struct open_file *file, const struct proc_mounts *mounts, struct watch *watch,
			 struct error *err)
{
	const struct proc_mount *mount = proc_mounts_find(mounts, (int)watch->mnt_id);

	if (!mount)
		return open_file_refuse(file, err, "the mount it watches, %u, is not one of this namespace",
					watch->mnt_id);
	watch->object.path = strdup(mount->mountpoint);
	return watch->object.path ? 0 : open_file_error(file, err, -ENOMEM, "look");
}

/* --- dump --------------------------------------------------------------------------------------------------------- */

static void warn_of_events(struct dump *d, struct open_file *file)
{
	int fd = open_file_local(d, file), bytes = 0;

	if (fd >= 0 && ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 && !d->is_live)
		log_warn(TASK_FORMAT ", fd %d, %s: %d bytes of events that were not read are lost at restore",
			 TASK_ARGS(file->task), file->fd, file->kind->name, bytes);
	open_file_release(d, file);
}

/* The registry frees kind_data as one block: the paths move into it. */
static int pack_paths(struct open_file *file)
{
	struct watches *watches = file->kind_data, *packed;
	size_t bytes = sizeof(*watches) + watches->count * sizeof(watches->items[0]), at = bytes;

	for (size_t i = 0; i < watches->count; i++)
		bytes += watches->items[i].object.path ? strlen(watches->items[i].object.path) + 1 : 0;
	packed = malloc(bytes);
	if (packed)
		memcpy(packed, watches, at);
	for (size_t i = 0; i < watches->count; i++) {
		char *path = watches->items[i].object.path;

		watches->items[i].object.path = NULL;
		if (packed && path) {
			packed->items[i].object.path = strcpy((char *)packed + at, path);
			at += strlen(path) + 1;
		}
		free(path);
	}
	if (!packed)
		return -ENOMEM;
	free(watches);
	file->kind_data = packed;
	return 0;
}

/* Of inotify: whether so many can be used up in reasonable time. See add_watch(). */
static int look_number(const struct open_file *file, const struct watch *watch, struct error *err)
{
	if (watch->wd <= WATCH_LIMIT)
		return 0;
	return open_file_refuse(file, err,
				"has a watch with number %u: so many would have to be made and removed again "
				"(the limit is %u)",
				watch->wd, WATCH_LIMIT);
}

#define REMOVE_HINT "have the program remove such marks before the dump"

/*
 * Of fanotify; inotify has no such bits. While the tree stands still nobody answers, and whoever opens the file waits:
 * others, the dump itself, and a restore.
 */
static int look_permission(const struct open_file *file, const struct watch *watch, struct error *err)
{
	if (!(watch->mask & (FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM | FAN_PRE_ACCESS)))
		return 0;
	error_hint(err, REMOVE_HINT);
	return open_file_refuse(file, err,
				"has a mark that asks it for permission (mask 0x%x), which it cannot give while it is "
				"stopped",
				watch->mask);
}

static int refuse_filesystem(const struct open_file *file, struct error *err)
{
	error_hint(err, REMOVE_HINT);
	return open_file_refuse(file, err, "marks on whole filesystems do not fit the image format");
}

static int look_watches(struct dump *d, struct open_file *file, struct error *err)
{
	AUTO_PROC_MOUNTS struct proc_mounts mounts = { 0 };
	struct watches *watches = file->kind_data;
	AUTO_CLOSE int own_procfd = proc_open(0);
	int r = own_procfd < 0 ? own_procfd : proc_mounts_read(own_procfd, &mounts), packed;

	if (r < 0)
		return open_file_error(file, err, r, "read the mounts");
	for (size_t i = 0; i < watches->count && r == 0; i++) {
		struct watch *watch = &watches->items[i];

		if (watch->is_filesystem)
			r = refuse_filesystem(file, err);
		else if (watch->is_mount)
			r = resolve_mount(file, &mounts, watch, err);
		if (r == 0)
			r = look_number(file, watch, err);
		if (r == 0)
			r = look_permission(file, watch, err);
	}
	if (r == 0)
		r = resolve_inodes(d, file, &mounts, watches, err);
	packed = pack_paths(file);
	if (r == 0 && packed < 0)
		return open_file_error(file, err, packed, "look");
	if (r == 0)
		warn_of_events(d, file);
	return r;
}

/* Who made it pays for it, and is told as much as he may know. */
static int look_instance(struct dump *d, struct open_file *file, struct error *err)
{
	int r = look_watches(d, file, err);

	return r < 0 ? r : opener_look_any(d, file, err);
}

static int fill_handle(struct dump *d, const struct watch *watch, FhEntry **ret_entry)
{
	FhEntry *handle = files_scratch(d, sizeof(*handle));

	if (!handle)
		return -ENOMEM;
	fh_entry__init(handle);
	handle->handle = files_scratch(d, INODE_HANDLE_BYTES);
	if (!handle->handle)
		return -ENOMEM;
	handle->bytes = watch->object.handle.bytes;
	handle->type = watch->object.handle.type;
	handle->n_handle = INODE_HANDLE_WORDS;
	memcpy(handle->handle, watch->object.handle.data, INODE_HANDLE_BYTES);
	handle->path = watch->object.path;
	*ret_entry = handle;
	return 0;
}

static int fill_watch(struct dump *d, uint32_t id, const struct watch *watch, InotifyWdEntry **ret_entry)
{
	InotifyWdEntry *entry = files_scratch(d, sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	inotify_wd_entry__init(entry);
	entry->id = id;
	entry->i_ino = watch->object.inode;
	entry->mask = watch->mask;
	entry->ignored_mask = watch->ignored_mask;
	entry->s_dev = watch->object.sdev;
	entry->wd = watch->wd;
	*ret_entry = entry;
	return fill_handle(d, watch, &entry->f_handle);
}

/* Without BPF the next watch may get a number that one had which was removed. */
static void save_next_number(struct dump *d, const struct open_file *file, InotifyFileEntry *inotify)
{
	struct kernel_memory *km;
	uint32_t next = 0;

	if (dump_kernel_memory(d, &km) < 0 || inotify_next_number(km, file->task->pidfd, file->fd, &next) < 0 ||
	    next > WATCH_LIMIT)
		return;
	inotify->has_next_wd = true;
	inotify->next_wd = next;
}

static int save_inotify(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	const struct watches *watches = file->kind_data;
	InotifyFileEntry *inotify = files_scratch(d, sizeof(*inotify));
	int r = inotify ? 0 : -ENOMEM;

	if (r == 0) {
		inotify_file_entry__init(inotify);
		inotify->id = file->id;
		inotify->flags = file->flags;
		inotify->fown = fown_save(d, file);
		inotify->wd = files_scratch(d, (watches->count + 1) * sizeof(InotifyWdEntry *));
		inotify->opener = file->opener ? opener_save(d, file) : NULL;
		r = inotify->fown && inotify->wd && (inotify->opener || !file->opener) ? 0 : -ENOMEM;
	}
	if (r == 0)
		save_next_number(d, file, inotify);
	/* The kernel lists the newest first. */
	for (size_t i = watches->count; i > 0 && r == 0; i--)
		r = fill_watch(d, file->id, &watches->items[i - 1], &inotify->wd[inotify->n_wd++]);
	if (r < 0)
		return open_file_error(file, err, r, "save");
	entry->ify = inotify;
	return 0;
}

static int fill_mark(struct dump *d, uint32_t id, const struct watch *watch, FanotifyMarkEntry **ret_entry)
{
	FanotifyMarkEntry *entry = files_scratch(d, sizeof(*entry));
	FanotifyInodeMarkEntry *inode = files_scratch(d, sizeof(*inode));
	FanotifyMountMarkEntry *mount = files_scratch(d, sizeof(*mount));

	if (!entry || !inode || !mount)
		return -ENOMEM;
	fanotify_mark_entry__init(entry);
	entry->id = id;
	entry->mflags = watch->mark_flags;
	entry->mask = watch->mask;
	entry->ignored_mask = watch->ignored_mask;
	entry->s_dev = watch->object.sdev;
	*ret_entry = entry;
	if (watch->is_mount) {
		fanotify_mount_mark_entry__init(mount);
		mount->mnt_id = watch->mnt_id;
		mount->path = watch->object.path;
		entry->type = MARK_TYPE__MOUNT;
		entry->me = mount;
		return 0;
	}
	fanotify_inode_mark_entry__init(inode);
	inode->i_ino = watch->object.inode;
	entry->type = MARK_TYPE__INODE;
	entry->ie = inode;
	return fill_handle(d, watch, &inode->f_handle);
}

/* Which bits of f_mode tell what came with an event of fanotify: all of set, none of clear. */
struct event_mode {
	uint32_t set, clear;
};

static int read_mode(struct kernel_memory *km, uint64_t table, int fd, uint32_t *ret)
{
	uint64_t address;
	int r = kernel_memory_table_file(km, table, fd, &address);

	return r < 0 ? r : KERNEL_MEMBER(km, address, "file", "f_mode", ret);
}

/* From this program's own file, once as everybody opens it and once as an event of it brings it. */
static int learn_mode(struct kernel_memory *km, struct event_mode *ret)
{
	static const char name[] = "/proc/self/exe";
	AUTO_CLOSE int group = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int pidfd = pidfd_open_pid(getpid()), plain = -1, came = -1;
	struct fanotify_event_metadata event = { .fd = -1 };
	uint32_t plain_mode = 0, came_mode = 0;
	uint64_t table;
	int r;

	if (group < 0 || pidfd < 0 || fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, name) < 0)
		return -EOPNOTSUPP;
	plain = open(name, O_RDONLY | O_CLOEXEC);
	if (plain < 0 || read(group, &event, sizeof(event)) != sizeof(event) || event.fd < 0)
		return -EOPNOTSUPP;
	came = event.fd;
	r = kernel_memory_table(km, pidfd, &table);
	if (r == 0)
		r = read_mode(km, table, plain, &plain_mode);
	if (r == 0)
		r = read_mode(km, table, came, &came_mode);
	*ret = (struct event_mode){ came_mode & ~plain_mode, plain_mode & ~came_mode };
	return r < 0 ? r : ret->set ? 0 : -EOPNOTSUPP;
}

static const struct event_mode *mode_of_events(struct dump *d, struct kernel_memory *km)
{
	struct event_mode *mode = d->files->event_mode;

	if (mode)
		return mode;
	mode = d->files->event_mode = calloc(1, sizeof(*mode));
	if (mode && learn_mode(km, mode) < 0)
		*mode = (struct event_mode){ 0 };
	return mode;
}

/*
 * What comes with an event of fanotify makes no events itself, or who looks at it would hear of that. No other call
 * opens a file so. Files without a path (memfds) make none, whoever has them.
 */
int event_file_look(struct dump *d, struct open_file *file, struct error *err)
{
	const struct event_mode *known;
	struct kernel_memory *km;
	uint64_t address;
	uint32_t mode;

	if (d->is_live || file->fd < 0 || file->flags & O_PATH || file->kind != &regular_kind ||
	    (!S_ISREG(file->st.st_mode) && !S_ISDIR(file->st.st_mode)) || dump_kernel_memory(d, &km) < 0 ||
	    open_file_address(d, file, km, &address) < 0 || KERNEL_MEMBER(km, address, "file", "f_mode", &mode) < 0)
		return 0;
	known = mode_of_events(d, km);
	if (!known || !known->set || (mode & (known->set | known->clear)) != known->set)
		return 0;
	error_hint(err, "try again when the program has closed it");
	return open_file_refuse(file, err,
				"came with an event of fanotify, and what is done with it is no event: it could not be "
				"opened so again");
}

static int save_fanotify(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	const struct watches *watches = file->kind_data;
	FanotifyFileEntry *fanotify = files_scratch(d, sizeof(*fanotify));
	int r = fanotify ? 0 : -ENOMEM;

	if (r == 0) {
		fanotify_file_entry__init(fanotify);
		fanotify->id = file->id;
		fanotify->flags = file->flags;
		fanotify->faflags = watches->init_flags;
		fanotify->evflags = watches->event_flags;
		fanotify->fown = fown_save(d, file);
		fanotify->mark = files_scratch(d, (watches->count + 1) * sizeof(FanotifyMarkEntry *));
		fanotify->opener = file->opener ? opener_save(d, file) : NULL;
		r = fanotify->fown && fanotify->mark && (fanotify->opener || !file->opener) ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < watches->count && r == 0; i++)
		r = fill_mark(d, file->id, &watches->items[i], &fanotify->mark[fanotify->n_mark++]);
	if (r < 0)
		return open_file_error(file, err, r, "save");
	entry->ffy = fanotify;
	return 0;
}

/* --- restore: the object ------------------------------------------------------------------------------------------ */

/* By path, or by a name in /proc of what the handle led to, which fd is open on. */
struct target {
	char path[32];
	const char *name;
	int fd;
};

static int find_by_handle(const FhEntry *handle, uint32_t sdev, struct target *ret)
{
	AUTO_PROC_MOUNTS struct proc_mounts mounts = { 0 };
	AUTO_CLOSE int own_procfd = proc_open(0);
	int r = own_procfd < 0 ? own_procfd : proc_mounts_read(own_procfd, &mounts);

	if (r == 0)
		r = -ENODEV;
	for (size_t i = 0; i < mounts.count; i++) {
		if (!inode_path_is_on(&mounts.mounts[i], sdev))
			continue;
		r = inode_path_open_handle(mounts.mounts[i].mountpoint, handle->bytes, handle->type, handle->handle);
		if (r < 0)
			continue;
		ret->fd = r;
		(void)snprintf(ret->path, sizeof(ret->path), "/proc/self/fd/%d", r);
		ret->name = ret->path;
		return 0;
	}
	return r;
}

static int find_target(const FhEntry *handle, uint32_t sdev, struct target *ret)
{
	ret->fd = -1;
	ret->name = handle->path;
	return handle->path ? 0 : find_by_handle(handle, sdev, ret);
}

static int check_path(const struct restore *r, const struct restore_file *file, const char *path, struct error *err)
{
	/* What is below /proc/PID or /dev/pts may be about to be made. */
	if (!path || !strncmp(path, "/proc/", 6) || !strncmp(path, "/dev/pts/", 9) || access(path, F_OK) == 0 ||
	    errno != ENOENT)
		return 0;
	return restore_refuse(r, file, err, "%s, which it watches: %s", path, strerror(errno));
}

/* --- restore: inotify --------------------------------------------------------------------------------------------- */

static int check_inotify(struct restore *r, struct restore_file *file, struct error *err)
{
	const InotifyFileEntry *inotify = file->entry->ify;
	int result = opener_check(r, file, inotify->opener, err);

	if (inotify->has_next_wd && inotify->next_wd > WATCH_LIMIT)
		return restore_refuse(r, file, err, "the next watch of inotify cannot have number %u",
				      inotify->next_wd);
	for (size_t i = 0; i < inotify->n_wd && result == 0; i++) {
		if (inotify->wd[i]->wd == 0 || inotify->wd[i]->wd > WATCH_LIMIT)
			return restore_refuse(r, file, err, "a watch of inotify cannot have number %u",
					      inotify->wd[i]->wd);
		result = check_path(r, file, inotify->wd[i]->f_handle->path, err);
	}
	return result;
}

static int make_inotify(void *arg)
{
	int fd = inotify_init1(*(const int *)arg);

	return fd < 0 ? -errno : fd;
}

/* EMFILE also says that the process may have no more descriptors. */
static void hint_at_instances(int reason, const char *sysctl, struct error *err)
{
	AUTO_CLOSE int spare = reason == -EMFILE ? open("/", O_PATH | O_CLOEXEC) : -1;

	if (spare >= 0)
		error_hint(err, "%s tells how many a user may have", sysctl);
}

static void hint_at_watches(int reason, const char *sysctl, struct error *err)
{
	if (reason == -ENOSPC)
		error_hint(err, "%s tells how many a user may have", sysctl);
}

static int open_inotify(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	int flags = (int)((file->entry->ify->flags & O_NONBLOCK) | file->cloexec);
	int fd = opener_call(r, file->entry->ify->opener, make_inotify, &flags, err);

	hint_at_instances(fd, "fs.inotify.max_user_instances", err);
	if (fd < 0)
		return error_set(err, fd, "make an inotify instance");
	*ret_fd = fd;
	return 0;
}

/* Numbers are given out ascending and never again: those before the wanted one are used up. */
static int add_watch(int fd, const InotifyWdEntry *entry, const char *name, bool by_path)
{
	uint32_t mask = (entry->mask & WATCH_MASK) | (by_path ? IN_DONT_FOLLOW : 0);

	for (;;) {
		int wd = inotify_add_watch(fd, name, mask);

		if (wd < 0)
			return -errno;
		if ((uint32_t)wd == entry->wd)
			return 0;
		if ((uint32_t)wd > entry->wd)
			return -EEXIST;
		(void)inotify_rm_watch(fd, wd);
	}
}

/* Up to the next one: of a file that nobody else can watch. */
static int use_up_numbers(int fd, uint32_t next)
{
	AUTO_CLOSE int file_fd = memfd_create("numbers", MFD_CLOEXEC);
	char name[32];
	int wd;

	if (file_fd < 0)
		return -errno;
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", file_fd);
	do {
		wd = inotify_add_watch(fd, name, IN_ATTRIB);
		if (wd < 0 || inotify_rm_watch(fd, wd) < 0)
			return -errno;
	} while ((uint32_t)wd + 1 < next);
	return 0;
}

static uint32_t number_after(InotifyWdEntry *const *sorted, size_t count)
{
	return count ? sorted[count - 1]->wd + 1 : 1;
}

static int compare_watches(const void *a, const void *b)
{
	const InotifyWdEntry *const *x = a, *const *y = b;

	return (*x)->wd < (*y)->wd ? -1 : (*x)->wd > (*y)->wd;
}

/* What making the watches reported. */
static int drop_events(int fd)
{
	char events[4096];
	int bytes;

	while (ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0)
		if (read(fd, events, sizeof(events)) < 0)
			return -errno;
	return 0;
}

static int finish_inotify(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			  struct error *err)
{
	const InotifyFileEntry *inotify = file->entry->ify;
	AUTO_FREE InotifyWdEntry **sorted = malloc((inotify->n_wd + 1) * sizeof(InotifyWdEntry *));
	int result = 0;

	if (!sorted)
		return error_set(err, -ENOMEM, "inotify");
	for (size_t i = 0; i < inotify->n_wd; i++)
		sorted[i] = inotify->wd[i];
	qsort(sorted, inotify->n_wd, sizeof(*sorted), compare_watches);
	for (size_t i = 0; i < inotify->n_wd && result == 0; i++) {
		struct target target;

		result = find_target(sorted[i]->f_handle, sorted[i]->s_dev, &target);
		if (result == 0)
			result = add_watch(fd, sorted[i], target.name, target.fd < 0);
		hint_at_watches(result, "fs.inotify.max_user_watches", err);
		if (result < 0)
			return error_set(err, result, "inotify: watch %s (inode %llu) as number %u",
					 sorted[i]->f_handle->path ? sorted[i]->f_handle->path : "a file by its handle",
					 (unsigned long long)sorted[i]->i_ino, sorted[i]->wd);
		close_fd(&target.fd);
	}
	if (inotify->has_next_wd && inotify->next_wd > number_after(sorted, inotify->n_wd))
		result = use_up_numbers(fd, inotify->next_wd);
	if (result < 0)
		return error_set(err, result, "inotify: use up numbers below %u", inotify->next_wd);
	result = drop_events(fd);
	return result < 0 ? error_set(err, result, "inotify: drop events") : 0;
}

static const FownEntry *inotify_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->ify->flags;
	return entry->ify->fown;
}

/* --- restore: fanotify -------------------------------------------------------------------------------------------- */

static int check_fanotify(struct restore *r, struct restore_file *file, struct error *err)
{
	const FanotifyFileEntry *fanotify = file->entry->ffy;
	int result = opener_check(r, file, fanotify->opener, err);

	for (size_t i = 0; i < fanotify->n_mark && result == 0; i++) {
		const FanotifyMarkEntry *mark = fanotify->mark[i];

		if (mark->type == MARK_TYPE__MOUNT && !mark->me->path)
			return restore_refuse(r, file, err, "the images do not say which mount it watches");
		result = check_path(r, file, mark->ie ? mark->ie->f_handle->path : mark->me->path, err);
	}
	return result;
}

struct fanotify_request {
	uint32_t flags, event_flags;
};

static int make_fanotify(void *arg)
{
	const struct fanotify_request *request = arg;
	int fd = fanotify_init(request->flags, request->event_flags);

	return fd < 0 ? -errno : fd;
}

static int open_fanotify(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	const FanotifyFileEntry *fanotify = file->entry->ffy;
	struct fanotify_request request = { fanotify->faflags, fanotify->evflags };
	int fd;

	/* fdinfo goes on to show with which flags it was made. */
	fd = opener_call(r, fanotify->opener, make_fanotify, &request, err);
	if (fd == -EPERM)
		error_hint(err, "it needs CAP_SYS_ADMIN");
	hint_at_instances(fd, "fs.fanotify.max_user_groups", err);
	if (fd < 0)
		return error_set(err, fd, "make a fanotify group");
	if (fcntl(fd, F_SETFD, file->cloexec ? FD_CLOEXEC : 0) < 0 ||
	    fcntl(fd, F_SETFL, (int)(fanotify->flags & O_NONBLOCK)) < 0) {
		(void)close(fd);
		return error_set(err, -errno, "set the flags of a fanotify group");
	}
	*ret_fd = fd;
	return 0;
}

static int mark(int fd, uint32_t flags, uint32_t mask, const char *name)
{
	return mask && fanotify_mark(fd, FAN_MARK_ADD | flags, mask, AT_FDCWD, name) < 0 ? -errno : 0;
}

static int add_mark(int fd, const FanotifyMarkEntry *entry, const char *name, bool by_path)
{
	uint32_t type = entry->type == MARK_TYPE__MOUNT ? FAN_MARK_MOUNT : 0;
	uint32_t ignore = FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY;
	int r;

#ifdef FAN_MARK_IGNORE
	if (entry->mflags & FAN_MARK_IGNORE)
		ignore = FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY;
#endif
	if (by_path && !type)
		type = FAN_MARK_DONT_FOLLOW;
	r = mark(fd, type | (entry->mflags & ~(FAN_MARK_IGNORED_SURV_MODIFY | ignore)), entry->mask, name);
	if (r == 0)
		r = mark(fd,
			 type | (entry->mflags & ~(uint32_t)FAN_MARK_IGNORED_SURV_MODIFY) |
			     (ignore & ~(uint32_t)FAN_MARK_IGNORED_SURV_MODIFY) |
			     (entry->mflags & FAN_MARK_IGNORED_SURV_MODIFY),
			 entry->ignored_mask, name);
	return r;
}

static int finish_fanotify(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			   struct error *err)
{
	const FanotifyFileEntry *fanotify = file->entry->ffy;

	for (size_t i = 0; i < fanotify->n_mark; i++) {
		const FanotifyMarkEntry *entry = fanotify->mark[i];
		struct target target = { .fd = -1 };
		int result = 0;

		if (entry->ie)
			result = find_target(entry->ie->f_handle, entry->s_dev, &target);
		else
			target.name = entry->me->path;
		if (result == 0)
			result = add_mark(fd, entry, target.name, target.fd < 0);
		hint_at_watches(result, "fs.fanotify.max_user_marks", err);
		if (result < 0)
			return error_set(err, result, "fanotify: mark %s",
					 target.name ? target.name
						     : "a file by its "
						       "handle");
		close_fd(&target.fd);
	}
	return 0;
}

static const FownEntry *fanotify_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->ffy->flags;
	return entry->ffy->fown;
}

const struct file_kind inotify_kind = {
	.name = "inotify",
	.type = FD_TYPES__INOTIFY,
	.is = is_inotify,
	.read = read_inotify,
	.look = look_instance,
	.save = save_inotify,
	.check = check_inotify,
	.open = open_inotify,
	.finish = finish_inotify,
	.owner = inotify_owner,
	.finish_last = true,
	.finish_after_all = true,
};

const struct file_kind fanotify_kind = {
	.name = "fanotify",
	.type = FD_TYPES__FANOTIFY,
	.is = is_fanotify,
	.read = read_fanotify,
	.look = look_instance,
	.save = save_fanotify,
	.check = check_fanotify,
	.open = open_fanotify,
	.finish = finish_fanotify,
	.owner = fanotify_owner,
	.finish_last = true,
	.finish_after_all = true,
};
