/*
 * Ghosts: inodes that are open, mapped or somebody's directory but have no name any more. What they are made of goes to
 * ghost-file-ID.img (ghost-content.c), if it is not too large.
 *
 * At restore the root of the tree makes each one, under "<path>.cr.<id>.ghost" (a directory under its own name), and
 * links it under the other names it had, opens it and takes the name away at once, before anything is written to it
 * (by way of the name it had, which is what /proc shows then); what a failure leaves in between is in the undo log. All
 * who need the inode open it by the descriptor that the root holds and its descendants inherit. What has only one
 * description is made when and where that is opened, so that programs with thousands of deleted files can be restored.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "engine/service-fds.h"
#include "engine/undo.h"
#include "files/ghost-content.h"
#include "files/ghost-make.h"
#include "files/ghost-place.h"
#include "files/locks.h"
#include "files/opener.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "image/image-read.h"
#include "image/image-write.h"
#include "image/vma-status.h"
#include "images/ghost-file.pb-c.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"

struct ghost {
	uint32_t id;
	struct open_file *file; /* the first one found with this inode */
	uint32_t *users;        /* reg file ids */
	size_t user_count, user_capacity;
	struct ghost_facts facts;
};

/* --- dump ----------------------------------------------------------------------------------------------------- */

static struct ghost *find_ghost(const struct dump *d, const struct stat *st)
{
	const struct key_index *index = &d->files->ghosts_by_inode;

	for (size_t at = key_index_first(index, st->st_ino); at != KEY_INDEX_END; at = key_index_next(index, at)) {
		struct ghost *ghost = &d->files->ghosts[key_index_place(index, at)];

		if (ghost->file->st.st_dev == st->st_dev)
			return ghost;
	}
	return NULL;
}

static bool is_storable(mode_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISFIFO(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISLNK(mode);
}

static bool is_in_mount_of(int procfd, int mnt_id)
{
	AUTO_PROC_MOUNTS struct proc_mounts mounts = { 0 };

	return procfd >= 0 && proc_mounts_read(procfd, &mounts) == 0 && proc_mounts_find(&mounts, mnt_id);
}

/* Its former path would lead into another filesystem. A task whose root is another sees less than we do. */
static bool is_in_lost_mount(struct dump *d, const struct open_file *file)
{
	AUTO_CLOSE int procfd = -1;

	if (file->mnt_id < 0 || (uint32_t)file->mnt_id + 1 == d->files->ghost_mount)
		return false;
	procfd = proc_open(0);
	if (procfd < 0 || (!is_in_mount_of(procfd, file->mnt_id) && !is_in_mount_of(file->task->procfd, file->mnt_id)))
		return procfd >= 0;
	d->files->ghost_mount = (uint32_t)file->mnt_id + 1;
	return false;
}

/* Filesystems whose files the kernel makes. A cgroup is a directory that can be made again. */
static const char *kernels_own(struct dump *d, struct open_file *file)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} filesystems[] = {
		{ PROC_SUPER_MAGIC, "/proc" },      { SYSFS_MAGIC, "sysfs" },     { CGROUP_SUPER_MAGIC, "cgroup" },
		{ CGROUP2_SUPER_MAGIC, "cgroup2" }, { DEBUGFS_MAGIC, "debugfs" }, { TRACEFS_MAGIC, "tracefs" },
		{ SECURITYFS_MAGIC, "securityfs" },
	};
	AUTO_CLOSE int fd = open_file_reopen(d, file, O_PATH);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++)
		if ((unsigned long)fs.f_type == filesystems[i].magic &&
		    !(S_ISDIR(file->st.st_mode) && strncmp(filesystems[i].name, "cgroup", strlen("cgroup")) == 0))
			return filesystems[i].name;
	return NULL;
}

static int check_ghost(struct dump *d, struct open_file *file, struct error *err)
{
	uint64_t allocated = (uint64_t)file->st.st_blocks * 512;
	const struct open_file *leased;
	const char *filesystem;

	if (!is_storable(file->st.st_mode))
		return open_file_refuse(file, err, "deleted files of this type are not supported");
	filesystem = kernels_own(d, file);
	if (filesystem)
		return open_file_refuse(file, err, "is not there any more, and nothing can be made in %s", filesystem);
	if (file->link && strncmp(file->link, "/memfd:", strlen("/memfd:")) == 0) {
		error_hint(err, "have the program close it before the dump");
		return open_file_refuse(file, err, "a memfd that is open with O_PATH cannot be opened so again");
	}
	if (is_in_lost_mount(d, file))
		return open_file_refuse(file, err, "the deleted file is in a mount that is nowhere (detached)");
	leased = S_ISREG(file->st.st_mode) ? locks_lease_on(d, file) : NULL;
	if (leased && (leased->flags & O_ACCMODE) == O_WRONLY) {
		error_hint(err,
			   "have the program give up the lease before the dump, or open the file for reading, too");
		return open_file_refuse(file, err,
					"the deleted file has a lease that reading it would break, and is open for "
					"writing only");
	}
	if (!S_ISREG(file->st.st_mode) || allocated <= d->opts->ghost_limit_bytes)
		return 0;
	error_hint(err, "--ghost-limit %llu saves it", (unsigned long long)allocated);
	return open_file_refuse(file, err, "the deleted file holds %llu bytes, more than --ghost-limit (%llu)",
				(unsigned long long)allocated, (unsigned long long)d->opts->ghost_limit_bytes);
}

static int look_attributes(struct dump *d, struct open_file *file, struct inode_attributes *ret, struct error *err)
{
	int r = ghost_content_look(d, file, ret);
	const char *fixed = r == 0 ? inode_attributes_fixed(ret) : NULL;
	char place[256];

	if (r == -EACCES || r == -EPERM) { /* of a directory nothing else has to be read */
		log_warn("%s: its flags (chattr) cannot be read and are lost: %s\n",
			 open_file_describe(file, place, sizeof(place)), strerror(-r));
		return 0;
	}
	if (r < 0)
		return open_file_error(file, err, r, "read the flags (chattr) of the deleted file");
	return fixed ? open_file_refuse(file, err, "the deleted file is %s, which cannot be made again", fixed) : 0;
}

static int add_ghost(struct dump *d, struct open_file *file, struct ghost **ret_ghost, struct error *err)
{
	struct file_registry *registry = d->files;
	struct ghost_facts facts;
	int r = check_ghost(d, file, err);

	if (r == 0)
		r = look_attributes(d, file, &facts.attributes, err);
	if (r < 0)
		return r;
	ghost_content_look_linkable(d, file, &facts);
	if (array_reserve(&registry->ghosts, &registry->ghost_capacity, registry->ghost_count, sizeof(**ret_ghost)) <
		0 ||
	    key_index_add(&registry->ghosts_by_inode, file->st.st_ino, registry->ghost_count) < 0)
		return open_file_error(file, err, -ENOMEM, "deleted file");
	*ret_ghost = &registry->ghosts[registry->ghost_count];
	**ret_ghost = (struct ghost){ .id = (uint32_t)++registry->ghost_count, .file = file, .facts = facts };
	return 0;
}

int ghost_look(struct dump *d, struct open_file *file, struct error *err)
{
	struct ghost *ghost = find_ghost(d, &file->st);

	if (!ghost) {
		int r = add_ghost(d, file, &ghost, err);

		if (r < 0)
			return r;
	}
	if (ghost->facts.is_linkable)
		opener_look_nameless(d, file);
	if (array_reserve(&ghost->users, &ghost->user_capacity, ghost->user_count, sizeof(file->path_id)) < 0)
		return open_file_error(file, err, -ENOMEM, "deleted file");
	ghost->users[ghost->user_count++] = file->path_id;
	return 0;
}

int ghosts_save(struct dump *d, struct image_writer *remaps, struct error *err)
{
	for (size_t i = 0; i < d->files->ghost_count; i++) {
		const struct ghost *ghost = &d->files->ghosts[i];
		int r = ghost_content_save(d, ghost->file, ghost->id, &ghost->facts, err);

		for (size_t k = 0; k < ghost->user_count && r == 0; k++) {
			RemapFilePathEntry remap = REMAP_FILE_PATH_ENTRY__INIT;

			remap.orig_id = ghost->users[k];
			remap.remap_id = ghost->id;
			remap.has_remap_type = true;
			remap.remap_type = REMAP_TYPE__GHOST;
			remap.late_flags = inode_attributes_late(&ghost->facts.attributes);
			remap.has_late_flags = remap.late_flags != 0;
			r = image_writer_add(remaps, &remap, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

void ghosts_free(struct dump *d)
{
	for (size_t i = 0; i < d->files->ghost_count; i++)
		free(d->files->ghosts[i].users);
	free(d->files->ghosts);
	key_index_done(&d->files->ghosts_by_inode);
}

/* --- restore -------------------------------------------------------------------------------------------------- */

/* The first name of the ghost, NULL when it was not seen yet. */
static struct restore_ghost *ghost_by_id(const struct restore_files *rf, uint32_t id)
{
	size_t at = key_index_first(&rf->ghosts_by_id, id);

	return at == KEY_INDEX_END ? NULL : rf->ghosts[key_index_place(&rf->ghosts_by_id, at)];
}

static int read_head(const struct restore *r, struct image_reader *reader, uint32_t id, GhostFileEntry **ret_entry,
		     struct error *err)
{
	int result = image_reader_open(reader, r->set, IMAGE_GHOST_FILE, id, err);

	if (result == -ENOENT)
		return error_say(err, -EBADMSG, "ghost-file-%x.img is missing", id);
	if (result < 0)
		return result;
	result = image_reader_next(reader, &ghost_file_entry__descriptor, ret_entry, err);
	return result == 0 ? error_say(err, -EBADMSG, "ghost-file-%x.img is empty", id) : result < 0 ? result : 0;
}

/* No name leads to it later, and the links in /proc are followed or nothing is opened. */
static bool is_held(const struct restore_file *file)
{
	return file->first_fd >= 0 && file->entry->reg->flags & O_NOFOLLOW &&
	       !restore_is_temporary(file->entry->reg->flags);
}

static int add_user(struct restore *r, struct restore_ghost *ghost, struct restore_file *file, struct error *err)
{
	struct restore_ghost_user *user;

	if (restore_is_temporary(file->entry->reg->flags) && !ghost->temporary)
		ghost->temporary = file;
	if (!is_held(file))
		return 0;
	user = restore_alloc(r, sizeof(*user));
	if (!user)
		return error_set(err, -ENOMEM, "open files");
	*user = (struct restore_ghost_user){ .file = file, .fd = -1, .next = ghost->held };
	ghost->held = user;
	return 0;
}

static struct restore_ghost *new_ghost(struct restore *r, uint32_t id, const char *path)
{
	struct restore_ghost *ghost = restore_alloc(r, sizeof(*ghost));

	if (ghost)
		*ghost = (struct restore_ghost){ .id = id, .fd = -1, .path = path };
	return ghost;
}

static int check_room(struct restore *r, struct restore_file *file, const struct ghost_place *place, struct error *err)
{
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	AUTO_MESSAGE GhostFileEntry *entry = NULL;
	struct error reason = { 0 };
	int result = read_head(r, &reader, file->remap->remap_id, &entry, err);

	if (result < 0)
		return result;
	if (ghost_content_check_room(&reader, place->dirfd, entry, &reason) == 0)
		return 0;
	return restore_refuse(r, file, err, "%s: %s", file->entry->reg->name, reason.text);
}

static int add_first(struct restore *r, struct restore_file *file, struct restore_ghost **ret, struct error *err)
{
	AUTO_GHOST_PLACE struct ghost_place place = GHOST_PLACE_INIT;
	struct restore_files *rf = restore_files_of(r);
	const char *path = file->entry->reg->name;
	int result;

	if (path[0] != '/' || !path[1])
		return restore_refuse(r, file, err, "%s: is not an absolute path", path);
	result = ghost_place_find(&place, path);
	if (result < 0)
		return restore_refuse(r, file, err, "%s: the deleted file cannot be made again there: %s", path,
				      strerror(-result));
	result = check_room(r, file, &place, err);
	if (result < 0)
		return result;
	*ret = new_ghost(r, file->remap->remap_id, path);
	if (!*ret || key_index_add(&rf->ghosts_by_id, (*ret)->id, rf->ghost_count) < 0)
		return error_set(err, -ENOMEM, "open files");
	rf->ghosts[rf->ghost_count++] = *ret;
	return 0;
}

int ghost_check(struct restore *r, struct restore_file *file, struct restore_ghost **ret_ghost, struct error *err)
{
	struct restore_ghost *ghost = ghost_by_id(restore_files_of(r), file->remap->remap_id), *last = NULL;
	const char *path = file->entry->reg->name;
	int result;

	for (; ghost && strcmp(ghost->path, path) != 0; ghost = ghost->next_name)
		last = ghost;
	if (!ghost && last) {
		ghost = last->next_name = new_ghost(r, last->id, path);
		if (!ghost)
			return error_set(err, -ENOMEM, "open files");
	}
	result = ghost ? 0 : add_first(r, file, &ghost, err);
	if (result == 0)
		result = add_user(r, ghost, file, err);
	if (result < 0)
		return result;
	ghost_by_id(restore_files_of(r), ghost->id)->description_count++;
	*ret_ghost = ghost;
	return 0;
}

/* --- who makes it --------------------------------------------------------------------------------------------- */

static struct restore_ghost *ghost_of(const struct restore *r, const struct restore_file *file)
{
	if (!file || !file->remap || file->remap->remap_type != REMAP_TYPE__GHOST)
		return NULL;
	return ghost_by_id(restore_files_of(r), file->remap->remap_id);
}

static void note_other_user(const struct restore *r, uint32_t id)
{
	struct restore_ghost *ghost = ghost_of(r, restore_find_file(r, FD_TYPES__REG, id));

	if (ghost)
		ghost->has_other_users = true;
}

static void note_other_users(const struct restore *r, const struct checked_task *task)
{
	if (task->fs) {
		note_other_user(r, task->fs->cwd_id);
		note_other_user(r, task->fs->root_id);
	}
	if (!task->mm)
		return;
	note_other_user(r, task->mm->exe_file_id);
	for (size_t i = 0; i < task->mm->n_vmas; i++)
		if (task->mm->vmas[i]->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED))
			note_other_user(r, (uint32_t)task->mm->vmas[i]->shmid);
}

/* How many descriptors the root needs for a ghost. */
static size_t count_held(const struct restore_ghost *ghost)
{
	size_t count = 0;

	for (const struct restore_ghost *name = ghost; name; name = name->next_name) {
		count++;
		for (const struct restore_ghost_user *user = name->held; user; user = user->next)
			count++;
	}
	return count;
}

int ghosts_plan(struct restore *r, struct error *err)
{
	struct restore_files *rf = restore_files_of(r);
	size_t held = 0, room = service_fds_room(r);

	for (size_t i = 0; i < r->images->task_count; i++)
		note_other_users(r, &r->images->tasks[i]);
	for (size_t i = 0; i < r->file_count; i++) {
		struct restore_ghost *ghost = ghost_of(r, r->files[i]);

		if (ghost && ghost->description_count == 1 && !ghost->has_other_users && r->files[i]->first_fd >= 0)
			ghost->is_made_by_user = true;
	}
	for (size_t i = 0; i < rf->ghost_count; i++)
		if (!rf->ghosts[i]->is_made_by_user)
			held += count_held(rf->ghosts[i]);
	if (held <= room)
		return 0;
	error_hint(err, "raise the limit of open files (ulimit -n)");
	return error_say(
	    err, -EMFILE,
	    "%zu descriptors of deleted files that several have are held while the tree is made, and the limit of "
	    "open files (RLIMIT_NOFILE) has room for %zu",
	    held, room);
}

/* Other names that could not be given are those of the first. */
static int keep_descriptors(struct restore *r, struct restore_ghost *ghost)
{
	for (struct restore_ghost *name = ghost; name; name = name->next_name) {
		int result = name->fd < 0 ? service_fds_copy(r, ghost->fd) : restore_keep_fd(r, &name->fd);

		if (result < 0)
			return result;
		name->fd = result;
		for (struct restore_ghost_user *user = name->held; user; user = user->next) {
			result = user->fd < 0 ? -1 : restore_keep_fd(r, &user->fd);
			user->fd = result;
		}
	}
	return 0;
}

static int make_ghost(struct restore *r, struct restore_ghost *ghost, struct error *err)
{
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	AUTO_MESSAGE GhostFileEntry *entry = NULL;
	AUTO_GHOST_NAMES struct ghost_names names = GHOST_NAMES_INIT;
	int result = read_head(r, &reader, ghost->id, &entry, err);

	if (result < 0)
		return result;
	result = ghost_make_inode(r, ghost, entry, &names);
	if (result == 0)
		result = ghost_content_restore(&reader, names.write_fd, entry, err);
	if (result == 0)
		result = keep_descriptors(r, ghost);
	if (result < 0 && error_is_set(err))
		error_prefix(err, "make the deleted file %s again", ghost->path);
	return result < 0 ? error_set(err, result, "make the deleted file %s again", ghost->path) : 0;
}

static void let_go(struct restore_ghost *ghost)
{
	close_fd(&ghost->fd);
	for (struct restore_ghost_user *user = ghost->held; user; user = user->next)
		close_fd(&user->fd);
}

static int open_made(const struct restore_ghost *ghost, const struct restore_file *file, uint32_t flags)
{
	int held = ghost->temporary == file ? ghost->fd : -1, fd;

	for (const struct restore_ghost_user *user = ghost->held; user && held < 0; user = user->next)
		if (user->file == file)
			held = user->fd;
	if (held < 0)
		return restore_reopen(ghost->fd, flags);
	fd = fcntl(held, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	return fd < 0 ? -errno : fd;
}

int ghost_open(struct restore *r, struct restore_ghost *ghost, const struct restore_file *file, uint32_t flags,
	       struct error *err)
{
	int result;

	if (!ghost->is_made_by_user)
		return open_made(ghost, file, flags);
	undo_lock(r->undo);
	result = make_ghost(r, ghost, err);
	undo_unlock(r->undo);
	if (result == 0)
		result = open_made(ghost, file, flags);
	let_go(ghost);
	return result;
}

int ghosts_make(struct restore *r, struct error *err)
{
	struct restore_files *rf = restore_files_of(r);

	for (size_t i = 0; i < rf->ghost_count; i++) {
		struct restore_ghost *ghost = rf->ghosts[i];
		int result = !ghost->is_made_by_user ? make_ghost(r, ghost, err) : 0;

		if (result < 0)
			return result;
	}
	return 0;
}

/* --- when all is there ------------------------------------------------------------------------------------------ */

static int open_link(pid_t pid, const char *name)
{
	AUTO_CLOSE int procfd = proc_open(pid);

	return procfd < 0 ? procfd : proc_open_link(procfd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static int open_mapped(const struct restore_task *task, uint32_t id)
{
	const MmEntry *mm = task->image->mm;
	AUTO_CLOSE int procfd = mm ? proc_open(task->pid) : -1;

	for (size_t i = 0; procfd >= 0 && i < mm->n_vmas; i++)
		if (mm->vmas[i]->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED) && mm->vmas[i]->shmid == id)
			return proc_open_map(procfd, mm->vmas[i]->start, mm->vmas[i]->end,
					     O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return -ENOENT;
}

/* One of those that have it without a descriptor. */
static int open_by_other_user(const struct restore *r, uint32_t id)
{
	for (size_t i = 0; i < r->task_count; i++) {
		const struct restore_task *task = r->tasks[i];
		int fd;

		if (!task->image)
			continue;
		if (task->image->fs && task->image->fs->cwd_id == id)
			return open_link(task->pid, "cwd");
		if (task->image->fs && task->image->fs->root_id == id)
			return open_link(task->pid, "root");
		if (task->image->mm && task->image->mm->exe_file_id == id)
			return open_link(task->pid, "exe");
		fd = open_mapped(task, id);
		if (fd != -ENOENT)
			return fd;
	}
	return -ENOENT;
}

static int open_for_flags(const struct restore *r, const struct restore_file *file)
{
	AUTO_CLOSE int procfd = -1;

	if (!file->first_user)
		return open_by_other_user(r, file->id);
	procfd = proc_open(file->first_user->pid);
	return procfd < 0 ? procfd : proc_open_fd(procfd, file->first_fd, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

int ghosts_settle(struct restore *r, struct error *err)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const struct restore_file *file = r->files[i];
		struct restore_ghost *ghost = ghost_of(r, file);
		AUTO_CLOSE int fd = -1;
		int result;

		if (!ghost || ghost->is_settled || !file->remap->late_flags)
			continue;
		fd = open_for_flags(r, file);
		result = fd < 0 ? fd : inode_attributes_set_late(fd, file->remap->late_flags);
		if (result == -ENOENT)
			continue;
		if (result < 0)
			return error_set(err, result, "the deleted file %s: set its flags (chattr) 0x%x", ghost->path,
					 file->remap->late_flags);
		ghost->is_settled = true;
	}
	return 0;
}
