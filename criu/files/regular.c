/*
 * Files with a path: regular files, directories, device nodes of the mem driver, and anything opened with O_PATH. Saved
 * are the path, flags, offset and what the file looked like (type, permissions, size, for programs the build-id): the
 * content stays where it is and must be the same at restore. A path that does not lead back to the inode makes the file
 * a ghost (no link left) or needs a link made for it (see ghost.c, link-remap.c).
 *
 * Files below /proc/PID of a task of the tree can only be opened when that task is there: finish() puts them in place
 * of what open() left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/dump.h"
#include "files/advice.h"
#include "files/build-id.h"
#include "files/opener.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "files/thread-files.h"
#include "kernel/kmsg.h"

/* An offset that is not to be set. */
#define NO_POSITION UINT64_MAX

/* --- dump ----------------------------------------------------------------------------------------------------- */

static bool is_regular(const struct dump *d, const struct open_file *file)
{
	if (file->name_state == FILE_NAME_NONE)
		return false;
	return file->flags & O_PATH || S_ISREG(file->st.st_mode) || S_ISDIR(file->st.st_mode);
}

static void external_id(const struct open_file *file, char *buffer, size_t bytes)
{
	(void)snprintf(buffer, bytes, "%x:%llx", (unsigned int)file->mnt_id, (unsigned long long)file->st.st_ino);
}

static bool is_external(const struct dump *d, const struct open_file *file)
{
	char id[64];

	if (d->opts->external_count == 0)
		return false;
	external_id(file, id, sizeof(id));
	return options_find_external(d->opts, "file", id) != NULL;
}

static bool has_no_link(struct dump *d, struct open_file *file)
{
	return file->st.st_nlink == 0 || (S_ISDIR(file->st.st_mode) && link_is_deleted(file->link)) ||
	       link_remap_is_unlinked(d, file);
}

/* chattr(1) decides who may open a file, not who has it open. */
static int look_at_attributes(const struct open_file *file, struct error *err)
{
	if (!S_ISREG(file->st.st_mode) || file->flags & O_PATH || (file->flags & O_ACCMODE) == O_RDONLY)
		return 0;
	if (file->attributes & STATX_ATTR_IMMUTABLE) {
		error_hint(err, "chattr -i takes this away, also while the program has it open");
		return open_file_refuse(file, err, "is open for writing, and immutable: it could not be opened again");
	}
	if (file->attributes & STATX_ATTR_APPEND && !(file->flags & O_APPEND)) {
		error_hint(err, "chattr -a takes this away, also while the program has it open");
		return open_file_refuse(file, err,
					"is open for writing anywhere, and append-only: it could not be opened again");
	}
	return 0;
}

/* PRESSURE files of /proc and of cgroups: what was written into one sets a trigger, which is shown nowhere. */
static bool may_have_trigger(const struct open_file *file)
{
	static const char system[] = "/proc/pressure/", suffix[] = ".pressure";
	const size_t length = strlen(file->link);
	struct statfs fs;
	char path[64];

	if (file->fd < 0 || file->flags & O_PATH || (file->flags & O_ACCMODE) == O_RDONLY)
		return false;
	if (!strncmp(file->link, system, strlen(system)))
		return true;
	if (length < sizeof(suffix) || strcmp(file->link + length - strlen(suffix), suffix) != 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", file->task->host_pid, file->fd);
	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static int look_at_path(struct dump *d, struct open_file *file, struct error *err)
{
	pid_t tid;
	int r;

	if (may_have_trigger(file)) {
		error_hint(err, "have the program close it before the dump");
		return open_file_refuse(file, err,
					"may have a trigger for pressure (PSI), which the kernel does not show");
	}
	tid = thread_of_path(d, file->link);
	if (tid && file->fd < 0)
		return open_file_refuse(file, err, "is of thread %d, which is not there when it would be needed", tid);
	if (tid)
		return thread_file_look(d, file, tid, err);
	if (file->name_state == FILE_NAME_GOOD) {
		r = look_at_attributes(file, err);
		if (r == 0)
			r = dead_process_look_zombie(d, file, err);
		return r < 0 ? r : file_policy_look(d, file, err);
	}
	if (dead_process_look(d, file) && S_ISREG(file->st.st_mode) && file->pos)
		return open_file_refuse(file, err, "was read halfway, and the process it tells about has ended");
	if (file->dead_pid)
		return 0;
	if (has_no_link(d, file)) /* its flags are set when it is open everywhere */
		return ghost_look(d, file, err);
	r = look_at_attributes(file, err);
	if (r < 0)
		return r;
	if (link_remap_look(d, file, err) < 0)
		return err->code;
	return file_policy_look(d, file, err);
}

int regular_look(struct dump *d, struct open_file *file, struct error *err)
{
	int r;

	if (is_external(d, file))
		return 0;
	r = look_at_path(d, file, err);
	if (r == 0)
		r = proc_memory_look(d, file, err);
	if (r == 0)
		r = opener_look(d, file, err);
	if (r == 0)
		advice_look(d, file);
	return r;
}

static int add_build_id(struct dump *d, struct open_file *file, RegFileEntry *entry)
{
	AUTO_CLOSE int fd = open_file_content(d, file);
	struct build_id id;

	if (fd < 0 || build_id_read(fd, &id) < 0)
		return 0;
	entry->n_build_id = build_id_words(&id);
	entry->build_id = files_scratch(d, entry->n_build_id * sizeof(*entry->build_id));
	if (!entry->build_id)
		return -ENOMEM;
	for (size_t i = 0; i < entry->n_build_id; i++)
		entry->build_id[i] = build_id_word(&id, i);
	return 0;
}

/* A log that is only appended to may have grown until the restore. */
static bool has_checked_size(const struct open_file *file)
{
	return S_ISREG(file->st.st_mode) && !((file->flags & O_ACCMODE) == O_WRONLY && file->flags & O_APPEND);
}

static int set_name(struct dump *d, const struct open_file *file, RegFileEntry *entry)
{
	char id[64];

	if (!is_external(d, file)) {
		entry->name = open_file_path(d, file);
		return entry->name ? 0 : -ENOMEM;
	}
	external_id(file, id, sizeof(id));
	entry->has_ext = true;
	entry->ext = true;
	entry->name = files_scratch(d, sizeof(id) + sizeof("file[]"));
	if (!entry->name)
		return -ENOMEM;
	(void)sprintf(entry->name, "file[%s]", id);
	return 0;
}

int regular_fill(struct dump *d, struct open_file *file, uint32_t id, RegFileEntry **ret_entry, struct error *err)
{
	RegFileEntry *entry = files_scratch(d, sizeof(*entry));

	if (!entry)
		return open_file_error(file, err, -ENOMEM, "save");
	reg_file_entry__init(entry);
	entry->id = id;
	entry->has_temporary = entry->temporary = (file->flags & O_TMPFILE) == O_TMPFILE;
	entry->flags = entry->temporary ? file->flags & ~(uint32_t)O_TMPFILE : file->flags;
	entry->pos = file->pos;
	entry->has_mode = true;
	entry->mode = file->st.st_mode;
	entry->has_size = has_checked_size(file);
	entry->size = (uint64_t)file->st.st_size;
	entry->has_advice = file->advice != 0;
	entry->advice = file->advice;
	/* What has no name keeps it with its other attributes. */
	entry->has_write_hint = file->write_hint && file->name_state == FILE_NAME_GOOD;
	entry->write_hint = file->write_hint;
	entry->has_kept_flock = entry->has_kept_flock_pid = file->kept_flock != 0;
	entry->kept_flock = file->kept_flock;
	entry->kept_flock_pid = file->kept_flock ? (uint32_t)task_id_own(&file->kept_by->id) : 0;
	entry->fown = fown_save(d, file);
	entry->opener = file->opener ? opener_save(d, file) : NULL;
	if (file->opener && !entry->opener)
		return open_file_error(file, err, -ENOMEM, "save");
	if (!entry->fown || set_name(d, file, entry) < 0)
		return open_file_error(file, err, -ENOMEM, "save");
	if (file->is_program && d->opts->file_validation == FILE_VALIDATION_BUILD_ID &&
	    add_build_id(d, file, entry) < 0)
		return open_file_error(file, err, -ENOMEM, "save");
	*ret_entry = entry;
	return entry->has_ext ? 0 : file_policy_record(d, file, entry, err);
}

static int save_regular(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	return regular_fill(d, file, file->id, &entry->reg, err);
}

/* --- check ---------------------------------------------------------------------------------------------------- */

/* What regular files remember between check() and open(); NULL for most. */
struct regular_restore {
	struct restore_ghost *ghost;
	const char *path; /* instead of the name: of a link made by the dump */
	int inherited;    /* given by the user, -1: none */
	pid_t dead_pid;   /* it is below /proc/PID of this process, which had ended */
	bool is_late;     /* can only be opened when all tasks exist */
};

static struct regular_restore *special(struct restore *r, struct restore_file *file)
{
	struct regular_restore *s = file->kind_data;

	if (!s) {
		s = restore_alloc(r, sizeof(*s));
		if (s)
			s->inherited = -1;
		file->kind_data = s;
	}
	return s;
}

/* "/proc/PID/..." of a task that is going to be restored. */
static bool is_proc_of_tree(const struct restore *r, const char *name)
{
	char *end;
	unsigned long pid;

	if (strncmp(name, "/proc/", 6) != 0 || name[6] < '1' || name[6] > '9')
		return false;
	pid = strtoul(name + 6, &end, 10);
	return (*end == '/' || !*end) && pid <= INT32_MAX && checked_set_find_task(r->images, (uint32_t)pid);
}

static int check_build_id(struct restore *r, const struct restore_file *file, const RegFileEntry *entry,
			  const char *path, struct error *err)
{
	AUTO_CLOSE int fd = restore_open_content(path);
	struct build_id id;
	bool same;

	if (fd < 0)
		return restore_refuse(r, file, err, "%s: cannot be opened to read its build-id: %s", path,
				      strerror(-fd));
	if (build_id_read(fd, &id) < 0)
		return restore_refuse(r, file, err, "%s: has no build-id, but had one when it was dumped", path);
	same = build_id_words(&id) == entry->n_build_id;
	for (size_t i = 0; same && i < entry->n_build_id; i++)
		same = build_id_word(&id, i) == entry->build_id[i];
	if (same)
		return 0;
	error_hint(err, "bring back the build that was dumped, or --file-validation=filesize to compare the size only");
	return restore_refuse(r, file, err, "%s: is another build than the one that was dumped", path);
}

static int check_mode(struct restore *r, const struct restore_file *file, const RegFileEntry *entry, const char *path,
		      const struct stat *st, struct error *err)
{
	uint32_t mask = r->opts->skip_file_rwx_check ? ~(uint32_t)0777 : ~(uint32_t)0;

	if (file_policy_of(r, file) == FILE_POLICY_ANY)
		mask = S_IFMT;

	if (!entry->has_mode) {
		if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISCHR(st->st_mode) || entry->flags & O_PATH)
			return 0;
		if (S_ISFIFO(st->st_mode) && fifo_has_path(r, entry->id))
			return 0;
		return restore_refuse(r, file, err, "%s: is neither a file nor a directory", path);
	}
	if (S_ISFIFO(entry->mode) && !(entry->flags & O_PATH) && !fifo_has_path(r, entry->id))
		return restore_refuse(r, file, err, "%s: is a fifo, and the images have it open as a file", path);
	if ((entry->mode & mask) == (st->st_mode & mask))
		return 0;
	if ((entry->mode & S_IFMT) != (st->st_mode & S_IFMT))
		return restore_refuse(r, file, err, "%s: is of another type than when it was dumped (mode %o, was %o)",
				      path, st->st_mode, entry->mode);
	if (((entry->mode ^ st->st_mode) & ~(uint32_t)0777) == 0)
		error_hint(err, "--skip-file-rwx-check ignores the permissions");
	return restore_refuse(r, file, err, "%s: permissions are %o, were %o when it was dumped", path,
			      st->st_mode & 07777, entry->mode & 07777);
}

static int examine(struct restore *r, struct restore_file *file, const RegFileEntry *entry, const char *path,
		   const struct stat *st, struct error *err)
{
	int result = check_mode(r, file, entry, path, st, err);

	if (result < 0)
		return result;
	if (entry->n_build_id && r->opts->file_validation == FILE_VALIDATION_BUILD_ID &&
	    file_policy_of(r, file) != FILE_POLICY_ANY) {
		result = check_build_id(r, file, entry, path, err);
		if (result < 0)
			return result;
	}
	if (entry->has_rdev && entry->rdev != st->st_rdev)
		return restore_refuse(r, file, err, "%s: is device %u:%u, was %u:%u when it was dumped", path,
				      major(st->st_rdev), minor(st->st_rdev), major(entry->rdev), minor(entry->rdev));
	return file_policy_check(r, file, entry, path, st, err);
}

static int examine_path(struct restore *r, struct restore_file *file, const RegFileEntry *entry, const char *path,
			struct error *err)
{
	struct stat st;

	if (path[0] != '/')
		return restore_refuse(r, file, err, "%s: is not an absolute path", path);
	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		int reason = errno;

		error_hint(err, "--path-map OLD=NEW restores a set whose files are somewhere else now");
		return restore_refuse(r, file, err, "%s: %s", path, strerror(reason));
	}
	file->checked_dev = st.st_dev;
	file->checked_inode = st.st_ino;
	return examine(r, file, entry, path, &st, err);
}

/* Of entries with the same path only one has to be looked at. */
static const struct restore_file **known_good(struct restore *r, const char *path)
{
	struct restore_files *rf = restore_files_of(r);
	uint32_t hash = 5381;

	for (const char *c = path; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	return &rf->good[hash % (sizeof(rf->good) / sizeof(rf->good[0]))];
}

static bool expects_the_same(const struct restore *r, const struct restore_file *known, const struct restore_file *file)
{
	const RegFileEntry *a = known ? known->entry->reg : NULL, *b = file->entry->reg;

	return a && !strcmp(a->name, b->name) && a->has_mode == b->has_mode && a->mode == b->mode &&
	       (!b->has_size || (a->has_size && a->size == b->size)) && a->rdev == b->rdev && b->n_build_id == 0 &&
	       file_policy_is_same(r, known, file);
}

static int check_path(struct restore *r, struct restore_file *file, const RegFileEntry *entry, const char *path,
		      struct error *err)
{
	const struct restore_file **known = known_good(r, path);
	int result;

	if (path == entry->name && expects_the_same(r, *known, file)) {
		file->checked_dev = (*known)->checked_dev;
		file->checked_inode = (*known)->checked_inode;
		return 0;
	}
	result = examine_path(r, file, entry, path, err);
	if (result == 0 && path == entry->name)
		*known = file;
	return result;
}

static bool is_link_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && !strncmp(slash, "/link_remap.", strlen("/link_remap."));
}

static int check_absent_link(struct restore *r, struct restore_file *file, RegFileEntry *link, const char **ret_path,
			     struct error *err)
{
	AUTO_CLOSE int fd = -1;
	char magic[32];
	struct stat st;
	int result = link_remap_find(r, file->remap, link, &fd);

	if (result == 0 && fstat(fd, &st) < 0)
		result = -errno;
	if (result == -ESTALE)
		return restore_refuse(r, file, err, "%s: its last name was removed since the dump",
				      file->entry->reg->name);
	if (result < 0)
		return restore_refuse(r, file, err, "%s: cannot be found again by its handle: %s",
				      file->entry->reg->name, strerror(-result));
	(void)snprintf(magic, sizeof(magic), "/proc/self/fd/%d", fd);
	*ret_path = link->name;
	result = examine(r, file, file->entry->reg, magic, &st, err);
	if (result < 0)
		error_prefix(err, "%s", file->entry->reg->name);
	return result;
}

static int check_link_remap(struct restore *r, struct restore_file *file, struct error *err)
{
	const struct restore_file *link = restore_find_file(r, FD_TYPES__REG, file->remap->remap_id);
	struct regular_restore *s = special(r, file);

	if (!s)
		return error_set(err, -ENOMEM, "open files");
	s->path = link->entry->reg->name;
	/* It is removed after the restore: an image must not make that happen to anything else. */
	if (!is_link_name(s->path))
		return restore_refuse(r, file, err, "%s: is no link that a dump makes", s->path);
	if (file->remap->handle)
		return check_absent_link(r, file, link->entry->reg, &s->path, err);
	return check_path(r, file, file->entry->reg, s->path, err);
}

static int check_remap(struct restore *r, struct restore_file *file, struct error *err)
{
	const RemapFilePathEntry *remap = file->remap;
	struct regular_restore *s;

	if (remap->remap_type == REMAP_TYPE__LINKED)
		return check_link_remap(r, file, err);
	s = special(r, file);
	if (!s)
		return error_set(err, -ENOMEM, "open files");
	if (remap->remap_type == REMAP_TYPE__PROCFS) {
		if (strncmp(file->entry->reg->name, "/proc/", strlen("/proc/")) != 0 ||
		    strstr(file->entry->reg->name, "/../"))
			return restore_refuse(r, file, err, "%s: is no file of a process", file->entry->reg->name);
		s->dead_pid = (pid_t)remap->remap_id;
		return 0;
	}
	return ghost_check(r, file, &s->ghost, err);
}

static int check_inherited(struct restore *r, struct restore_file *file, bool *ret_found, struct error *err)
{
	const RegFileEntry *entry = file->entry->reg;
	bool external = entry->has_ext && entry->ext;
	struct regular_restore *s;
	const char *name = file->dumped_name ? file->dumped_name : entry->name;
	int fd = restore_inherited(r, name[0] == '/' ? name + 1 : name);

	*ret_found = fd >= 0 || device_is_external(entry);
	if (fd < 0 && device_is_external(entry)) {
		s = special(r, file);
		return s ? device_check_external(r, file, &s->path, err) : error_set(err, -ENOMEM, "open files");
	}
	if (fd < 0 && external) {
		error_hint(err, "give it with --inherit-fd fd[N]:%s", entry->name);
		return restore_refuse(r, file, err, "%s: is external and no descriptor was given for it", entry->name);
	}
	if (fd < 0)
		return 0;
	s = special(r, file);
	if (!s)
		return error_set(err, -ENOMEM, "open files");
	s->inherited = fd;
	return 0;
}

static int thread_late(struct restore *r, struct restore_file *file, pid_t tid, struct error *err)
{
	struct regular_restore *s = special(r, file);

	if (!s)
		return error_set(err, -ENOMEM, "open files");
	s->is_late = true;
	return thread_file_check(r, file, tid, err);
}

static int check_regular(struct restore *r, struct restore_file *file, struct error *err)
{
	pid_t tid;
	const RegFileEntry *entry = file->entry->reg;
	bool found;
	int result = check_inherited(r, file, &found, err);

	if (result < 0 || found)
		return result;
	if (file->remap)
		return check_remap(r, file, err);
	/* Old versions did not save modes. */
	if ((!entry->has_mode || S_ISCHR(entry->mode)) && tty_has_path(r, entry->id))
		return 0;
	tid = file->first_fd >= 0 ? thread_of_images(r, entry->name) : 0;
	if (tid)
		return thread_late(r, file, tid, err);
	result = opener_check(r, file, entry->opener, err);
	if (result < 0)
		return result;
	if (is_proc_of_tree(r, entry->name) || tty_makes_path(r, entry->name)) {
		struct regular_restore *s = special(r, file);

		if (!s)
			return error_set(err, -ENOMEM, "open files");
		s->is_late = true;
		file->is_late = true;
		return 0;
	}
	if (is_link_name(entry->name) && link_remap_is_absent(r, entry->id))
		return 0;
	return check_path(r, file, entry, entry->name, err);
}

/* --- open ----------------------------------------------------------------------------------------------------- */

/* These may number an inode anew when it was forgotten in between. */
static bool has_fleeting_numbers(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == FUSE_SUPER_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC);
}

/* Whoever may write to the directory may have put something else there since it was looked at. */
static int check_opened(const struct restore_file *file, int fd, const char *path, struct error *err)
{
	struct stat st;

	if (!file->checked_inode)
		return 0;
	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "look at %s", path);
	if ((st.st_ino == file->checked_inode && st.st_dev == file->checked_dev) || has_fleeting_numbers(fd))
		return 0;
	return error_say(err, -ESTALE, "%s: is another file than when it was checked a moment ago", path);
}

int regular_open(struct restore *r, struct restore_file *file, uint32_t flags, int *ret_fd, struct error *err)
{
	int result;
	const struct regular_restore *s = file->kind_data;
	const char *path = s && s->path ? s->path : file->entry->reg->name;
	AUTO_CLOSE int fd = -1;

	if (s && s->inherited >= 0) {
		fd = fcntl(s->inherited, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
		fd = fd < 0 ? -errno : fd;
	} else if (s && s->dead_pid) {
		fd = dead_process_open(s->dead_pid, path, flags);
	} else if (s && s->ghost) {
		path = s->ghost->path;
		fd = ghost_open(r, s->ghost, file, flags, err);
	} else {
		fd = opener_open(r, file->entry->reg, path, flags, err);
	}
	if (fd < 0)
		return error_set(err, fd, "open %s", path);
	result = s && (s->inherited >= 0 || s->dead_pid || s->ghost) ? 0 : check_opened(file, fd, path, err);
	if (result == 0)
		*ret_fd = take_fd(&fd);
	return result;
}

/* The description may be one that somebody else has, too. */
static bool is_shared(const struct restore_file *file)
{
	const struct regular_restore *s = file->kind_data;

	return s && (s->inherited >= 0 || (s->ghost && file->first_fd >= 0));
}

int regular_open_for_mapping(struct restore *r, struct restore_file *file, uint32_t flags, int *ret_fd,
			     struct error *err)
{
	int result = regular_open(r, file, flags, ret_fd, err);

	/* Not with the flags of open(2): who may not ask for it maps the file all the same. */
	if (result == 0 && !is_shared(file))
		(void)fcntl(*ret_fd, F_SETFL, (int)flags | O_NOATIME);
	return result;
}

/* Records are skipped by reading them, which must not wait. */
static int seek_log(const RegFileEntry *entry, int fd, struct error *err)
{
	int flags = fcntl(fd, F_GETFL), result;

	result = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : kmsg_seek(fd, entry->log_position);
	if (result == 0 && fcntl(fd, F_SETFL, flags) < 0)
		result = -errno;
	return result < 0 ? error_set(err, result, "%s: find record %llu", entry->name,
				      (unsigned long long)entry->log_position)
			  : 0;
}

/*
 * A directory of ext4 of which nothing was read before its end keeps that as where the next reading begins, also when
 * it goes back to its beginning. The time of access is not ours to change.
 */
static void begin_reading(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	char entries[512];

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NOATIME) < 0)
		return;
	(void)syscall(SYS_getdents64, fd, entries, sizeof(entries));
	(void)fcntl(fd, F_SETFL, flags);
}

/* Of hashes in 32 or 64 bits. */
static bool may_be_end_of_directory(uint64_t pos)
{
	return pos == INT32_MAX || pos == INT64_MAX;
}

static int seek(const RegFileEntry *entry, int fd, struct error *err)
{
	if (entry->has_log_position)
		return seek_log(entry, fd, err);
	if (entry->pos == 0 || entry->pos == NO_POSITION || entry->flags & O_PATH)
		return 0;
	if (may_be_end_of_directory(entry->pos))
		begin_reading(fd);
	if (lseek(fd, (off_t)entry->pos, SEEK_SET) < 0)
		return error_set(err, -errno, "%s: seek to %llu", entry->name, (unsigned long long)entry->pos);
	return 0;
}

/* O_ASYNC means nothing to files that cannot send a signal; there fcntl(2) would not set it. */
static uint32_t open_flags(const RegFileEntry *entry)
{
	return restore_open_flags(entry->flags) | (entry->flags & O_ASYNC);
}

/* Of what will be written; the kernel forgets it with the inode. Somebody may have given another one meanwhile. */
static void give_write_hint(const RegFileEntry *entry, int fd)
{
	uint64_t hint = entry->write_hint, present = 0;

	if (!entry->has_write_hint || entry->flags & O_PATH || fcntl(fd, F_GET_RW_HINT, &present) < 0 || present)
		return;
	if (fcntl(fd, F_SET_RW_HINT, &hint) < 0)
		log_warn("%s: how long what is written will live (F_SET_RW_HINT) cannot be told again: %s\n",
			 entry->name, strerror(errno));
}

static int open_regular(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	const struct regular_restore *s = file->kind_data;
	const RegFileEntry *entry = file->entry->reg;
	AUTO_CLOSE int fd = -1;
	int result;

	if (s && s->is_late) {
		*ret_fd = restore_open_placeholder(file);
		return *ret_fd < 0 ? error_set(err, *ret_fd, "open /") : 0;
	}
	result = regular_open(r, file, open_flags(entry) | file->cloexec, &fd, err);
	if (result == 0 && !(s && s->inherited >= 0))
		result = seek(entry, fd, err);
	if (result == 0 && !(s && s->inherited >= 0))
		result = advice_restore(entry, fd, err);
	if (result == 0 && !(s && s->inherited >= 0))
		give_write_hint(entry, fd);
	if (result == 0)
		*ret_fd = take_fd(&fd);
	return result;
}

static int finish_regular(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			  struct error *err)
{
	const struct regular_restore *s = file->kind_data;
	const RegFileEntry *entry = file->entry->reg;
	AUTO_CLOSE int opened = -1;
	int result;

	if (!s || !s->is_late)
		return 0;
	opened = opener_open(r, entry, entry->name, open_flags(entry) | O_CLOEXEC, err);
	if (opened < 0)
		return error_set(err, opened, "open %s", entry->name);
	result = restore_replace_fd(r, task, file, take_fd(&opened));
	return result < 0 ? error_set(err, result, "put %s in place", entry->name) : 0;
}

/* Going to a place makes the kernel write what is in front of it: earlier it would tell of a process half built. */
static int settle_regular(struct restore *r, struct restore_file *file, int fd, struct error *err)
{
	return seek(file->entry->reg, fd, err);
}

static const FownEntry *regular_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->reg->flags;
	return entry->reg->fown;
}

const struct file_kind regular_kind = {
	.name = "file",
	.type = FD_TYPES__REG,
	.is = is_regular,
	.look = regular_look,
	.save = save_regular,
	.check = check_regular,
	.open = open_regular,
	.finish = finish_regular,
	.settle = settle_regular,
	.owner = regular_owner,
};
