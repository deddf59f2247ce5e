/*
 * File locks: record locks of a process (fcntl), locks of an open file description (flock, OFD), leases. fdinfo tells
 * what is held through a descriptor: a record lock belongs to the descriptor table, the others to the description.
 * Where there are many descriptors /proc/locks tells first which inodes are locked at all; it is not asked otherwise,
 * for the kernel waits for an RCU grace period, many milliseconds, before it lets anybody read the list.
 *
 * A lease that is being broken is taken as it was and broken again, by an open(2) that nobody waits for; its holder was
 * told before the dump and is not told twice. It gets the whole time to give it up again.
 *
 * Who opens a file on which there is a lease for writing breaks the lease, so nobody does: what has to be read of it is
 * read through a copy of the descriptor that holds it, and a mapping of such a file, which the same description must be
 * behind, is dumped and made again as one of that.
 *
 * Locks that nothing but a mapping keeps are looked for in files/mapped-locks.c.
 *
 * A process loses all its record locks on a file when it closes any descriptor of it, such as one that a mapping was
 * made from: the restorer takes them once more when nothing of the restore is left to be closed.
 */
#include "files/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/parallel.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/mapped-locks.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "image/image-read.h"
#include "images/file-lock.pb-c.h"
#include "kernel/bpf-files.h"
#include "kernel/pidfd.h"
#include "kernel/proc-locks.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "mm/restore-area.h"
#include "pie/restorer-border.h"

_Static_assert(sizeof(struct restorer_file_lock) == sizeof(struct flock) &&
		   offsetof(struct restorer_file_lock, start) == offsetof(struct flock, l_start) &&
		   offsetof(struct restorer_file_lock, pid) == offsetof(struct flock, l_pid),
	       "layout of struct flock");

/* So many descriptors cost about as much to look at as that wait. */
#define BY_INODE_FROM 3000

/* Numbers of the image. */
enum lock_kind {
	LOCK_POSIX = 1,
	LOCK_FLOCK = 2,
	LOCK_OFD = 4,
	LOCK_LEASE = 8,
};

/* Added to the type that a lease is to become. */
#define LEASE_IS_BREAKING 4

static const struct {
	const char *word; /* of the kernel */
	enum lock_kind kind;
	const char *name;
} kinds[] = {
	{ "POSIX", LOCK_POSIX, "record lock" },
	{ "FLOCK", LOCK_FLOCK, "flock" },
	{ "OFDLCK", LOCK_OFD, "open file description lock" },
	{ "LEASE", LOCK_LEASE, "lease" },
};

static const char *kind_name(uint32_t kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind == kind)
			return kinds[i].name;
	return "lock";
}

/* --- dump ----------------------------------------------------------------------------------------------------- */

struct file_lock {
	const struct task *task;
	struct open_file *file;
	int fd;
	uint32_t kind, type;
	int64_t start, length;
};

struct locked_inode {
	dev_t dev;
	uint64_t inode;
};

struct locked_inodes {
	struct locked_inode *items;
	size_t count, capacity;
};

static int compare_inodes(const void *a, const void *b)
{
	const struct locked_inode *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* Lines of those who wait ("1: -> POSIX ...") do not parse, and need not. */
static int parse_locks(char *text, struct locked_inodes *ret)
{
	struct proc_lock line;
	char *state = NULL;

	for (char *at = strtok_r(text, "\n", &state); at; at = strtok_r(NULL, "\n", &state)) {
		if (proc_lock_parse(at, &line) < 0)
			continue;
		if (array_reserve(&ret->items, &ret->capacity, ret->count, sizeof(*ret->items)) < 0)
			return -ENOMEM;
		ret->items[ret->count++] = (struct locked_inode){ makedev(line.major, line.minor), line.inode };
	}
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), compare_inodes);
	return 0;
}

static bool is_locked(const struct locked_inodes *inodes, const struct open_file *file)
{
	struct locked_inode key = { file->st.st_dev, file->st.st_ino };

	return inodes->count && bsearch(&key, inodes->items, inodes->count, sizeof(key), compare_inodes) != NULL;
}

static int fill_lock(const struct proc_lock *line, struct file_lock *lock)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(line->kind, kinds[i].word))
			lock->kind = kinds[i].kind;
	if (!strcmp(line->access, "READ"))
		lock->type = F_RDLCK;
	else if (!strcmp(line->access, "WRITE"))
		lock->type = F_WRLCK;
	else if (lock->kind == LOCK_LEASE && !strcmp(line->access, "UNLCK"))
		lock->type = F_UNLCK;
	else
		return -EOPNOTSUPP;
	/* The type of one that is being broken is what it is to become, which may be none. */
	if (lock->kind == LOCK_LEASE && strcmp(line->state, "ACTIVE") != 0)
		lock->type |= LEASE_IS_BREAKING;
	lock->start = line->start;
	lock->length = strcmp(line->end, "EOF") != 0 ? strtoll(line->end, NULL, 10) - line->start + 1 : 0;
	return lock->kind ? 0 : -EOPNOTSUPP;
}

static const char *name_of(const struct open_file *file)
{
	return file->link ? file->link : file->kind ? file->kind->name : "file";
}

static int refuse_lock(const struct task_fd *fd, const struct task *task, struct error *err, const char *reason)
{
	return error_say(err, -ENOTSUP, TASK_FORMAT ", fd %d, %s: %s", TASK_ARGS(task), fd->fd, name_of(fd->file),
			 reason);
}

/* "1: POSIX  ADVISORY ...": what follows the number. */
static const char *skip_number(const char *text)
{
	const char *colon = strchr(text, ':');

	return colon && colon[1] ? colon + 2 : text;
}

static int add_lock(struct dump *d, const struct task *task, const struct task_fd *fd, const char *text,
		    struct error *err)
{
	struct file_registry *registry = d->files;
	struct file_lock lock = { .task = task, .file = fd->file, .fd = fd->fd };
	struct proc_lock line;
	int r = proc_lock_parse(text, &line);

	if (r == 0)
		r = fill_lock(&line, &lock);
	if (r < 0) {
		char reason[160];

		(void)snprintf(reason, sizeof(reason),
			       "holds a lock that is not supported, which the kernel calls \"%.80s\"",
			       skip_number(text));
		return refuse_lock(fd, task, err, reason);
	}
	/* The description's locks are shown by each of its descriptors. */
	if (lock.kind != LOCK_POSIX && (fd->file->task != task || fd->file->fd != fd->fd))
		return 0;
	/* Also one that is refused: nobody may break a lease. */
	if (array_reserve(&registry->locks, &registry->lock_capacity, registry->lock_count, sizeof(lock)) < 0)
		return error_set(err, -ENOMEM, "file locks");
	registry->locks[registry->lock_count++] = lock;
	if (d->opts->file_locks)
		return 0;
	error_hint(err, "--file-locks saves it");
	return error_say(err, -ENOTSUP, TASK_FORMAT ", fd %d, %s: holds a file lock (%s)", TASK_ARGS(task), fd->fd,
			 name_of(fd->file), kind_name(lock.kind));
}

static int look_fd(struct dump *d, const struct task *task, size_t index, struct error *err)
{
	const struct task_fd *fd = &task->fds[index];
	AUTO_FDINFO struct fdinfo info = { 0 };
	const char *line;
	size_t at = 0;
	int r;

	r = fdinfo_read(task->procfd, fd->fd, &info);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ", fd %d: read its locks", TASK_ARGS(task), fd->fd);
	while ((line = fdinfo_next(&info, "lock", &at))) {
		struct error later = { 0 };
		int result = add_lock(d, task, fd, line, r == 0 ? err : &later);

		r = r == 0 ? result : r;
	}
	return r;
}

/* A descriptor whose file may be locked. */
struct candidate {
	const struct task *task;
	size_t index; /* into task->fds */
	bool is_locked;
};

struct candidates {
	struct candidate *items;
	size_t count, capacity;
	struct candidate **asked; /* those whose fdinfo is read */
	size_t asked_count;
};

static const struct open_file *file_of(const struct candidate *candidate)
{
	return candidate->task->fds[candidate->index].file;
}

static int find_candidates(const struct dump *d, struct candidates *found)
{
	for_each_task (d, task) {
		for (size_t i = 0; i < task->fd_count; i++) {
			const struct open_file *file = task->fds[i].file;

			/* flock(2) takes files of any kind. */
			if (file->flags & O_PATH || (file->facts && !file->facts->locks))
				continue;
			if (array_reserve(&found->items, &found->capacity, found->count, sizeof(*found->items)) < 0)
				return -ENOMEM;
			found->items[found->count++] = (struct candidate){ .task = task, .index = i };
		}
	}
	return 0;
}

/* By description, and in the order in which they stand. */
static int compare_files(const void *a, const void *b)
{
	const struct candidate *one = *(struct candidate *const *)a, *other = *(struct candidate *const *)b;
	const struct open_file *file = file_of(one), *other_file = file_of(other);

	if (file != other_file)
		return file < other_file ? -1 : 1;
	return (one > other) - (one < other);
}

/* Whether anybody holds a record lock on the file behind a descriptor: true when it cannot be told. */
static bool may_have_record_locks(const struct candidate *candidate)
{
	AUTO_CLOSE int fd = pidfd_getfd_from(candidate->task->pidfd, candidate->task->fds[candidate->index].fd);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

/*
 * Any descriptor of a description tells all its locks, but for record locks, which are told by those of the table that
 * they belong to: only where there are any all descriptors of a description are asked.
 */
static int choose_whom_to_ask(struct candidates *found)
{
	AUTO_FREE struct candidate **sorted = calloc(found->count + 1, sizeof(*sorted));
	size_t end;

	found->asked = calloc(found->count + 1, sizeof(*found->asked));
	if (!sorted || !found->asked)
		return -ENOMEM;
	for (size_t i = 0; i < found->count; i++)
		sorted[i] = &found->items[i];
	qsort(sorted, found->count, sizeof(*sorted), compare_files);
	for (size_t first = 0; first < found->count; first = end) {
		size_t asked = 1;

		for (end = first + 1; end < found->count && file_of(sorted[end]) == file_of(sorted[first]);)
			end++;
		if (end - first > 1 && may_have_record_locks(sorted[first]))
			asked = end - first;
		for (size_t i = first; i < first + asked; i++)
			found->asked[found->asked_count++] = sorted[i];
	}
	return 0;
}

/* Of descriptors of one table for one description only the first counts: all of them show its record locks. */
static int leave_first_of_table(struct candidates *found)
{
	AUTO_FREE struct candidate **locked = calloc(found->count + 1, sizeof(*locked));
	size_t count = 0;

	if (!locked)
		return -ENOMEM;
	for (size_t i = 0; i < found->count; i++)
		if (found->items[i].is_locked)
			locked[count++] = &found->items[i];
	qsort(locked, count, sizeof(*locked), compare_files);
	for (size_t i = 1; i < count; i++)
		if (locked[i]->task == locked[i - 1]->task && file_of(locked[i]) == file_of(locked[i - 1]))
			locked[i]->is_locked = false;
	return 0;
}

static void ask(void *ctx, size_t begin, size_t end)
{
	struct candidates *found = ctx;
	AUTO_FDINFO struct fdinfo info = { 0 };

	for (size_t i = begin; i < end; i++) {
		struct candidate *at = found->asked[i];

		/* What cannot be read is looked at again, where the reason can be told. */
		at->is_locked = fdinfo_read(at->task->procfd, at->task->fds[at->index].fd, &info) < 0 || info.has_locks;
	}
}

static int probe_each(struct candidates *found)
{
	int r = choose_whom_to_ask(found);

	if (r == 0)
		parallel_run(found->asked_count, PARALLEL_FROM, ask, found);
	return r;
}

static int probe_by_inode(struct candidates *found)
{
	AUTO_BUFFER struct buffer text = { 0 };
	struct locked_inodes inodes = { 0 };
	int r = buffer_read_at(&text, AT_FDCWD, "/proc/locks");

	if (r == -ENOENT)
		return 0; /* a kernel without CONFIG_FILE_LOCKING has none */
	if (r == 0)
		r = parse_locks(text.data, &inodes);
	for (size_t i = 0; r == 0 && i < found->count; i++)
		found->items[i].is_locked = is_locked(&inodes, file_of(&found->items[i]));
	free(inodes.items);
	return r;
}

/* The first refusal is told, but all locks are looked for. */
static void look_first(struct dump *d, const struct candidate *locked, int *result, struct error *err)
{
	struct error later = { 0 };
	int r = look_fd(d, locked->task, locked->index, *result == 0 ? err : &later);

	*result = *result == 0 ? r : *result;
}

struct open_file *locks_lease_on(const struct dump *d, const struct open_file *file)
{
	for (size_t i = 0; i < d->files->lock_count; i++) {
		const struct file_lock *lock = &d->files->locks[i];

		if (lock->kind == LOCK_LEASE && lock->type != F_RDLCK && lock->file->st.st_dev == file->st.st_dev &&
		    lock->file->st.st_ino == file->st.st_ino)
			return lock->file;
	}
	return NULL;
}

static void map_through_lease(struct dump *d, struct open_file **mapped)
{
	struct open_file *leased = *mapped ? locks_lease_on(d, *mapped) : NULL;

	if (!leased)
		return;
	leased->is_program |= (*mapped)->is_program;
	*mapped = leased;
}

/* The kernel gives such a lease only where nothing else is open of the file. */
static void map_through_leases(struct dump *d)
{
	bool has_lease = false;

	for (size_t i = 0; i < d->files->lock_count; i++)
		has_lease |= d->files->locks[i].kind == LOCK_LEASE;
	if (!has_lease)
		return;
	for_each_task (d, task)
		for (size_t i = 0; task->vma_files && i < task->maps.count; i++)
			map_through_lease(d, &task->vma_files[i]);
}

int locks_look(struct dump *d, struct error *err)
{
	struct candidates found = { 0 };
	int r = find_candidates(d, &found), result = 0;

	if (r == 0 && found.count > BY_INODE_FROM)
		r = probe_by_inode(&found);
	else if (r == 0)
		r = probe_each(&found);
	if (r == 0)
		r = leave_first_of_table(&found);
	if (r < 0)
		(void)error_set(err, r, "look for file locks");
	for (size_t i = 0; r >= 0 && i < found.count; i++)
		if (found.items[i].is_locked)
			look_first(d, &found.items[i], &result, err);
	if (r == 0)
		map_through_leases(d);
	if (r == 0 && result == 0)
		result = mapped_locks_look(d, err);
	free(found.items);
	free(found.asked);
	return r < 0 ? r : result;
}

int locks_save(struct dump *d, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;

	image_writer_open(&w, d->set, IMAGE_FILELOCKS, 0);
	for (size_t i = 0; i < d->files->lock_count; i++) {
		const struct file_lock *lock = &d->files->locks[i];
		FileLockEntry entry = FILE_LOCK_ENTRY__INIT;
		int r;

		entry.flag = lock->kind;
		entry.type = lock->type;
		entry.pid = task_id_own(&lock->task->id);
		entry.fd = lock->fd;
		entry.start = lock->start;
		entry.len = lock->length;
		r = image_writer_add(&w, &entry, err);
		if (r < 0)
			return r;
	}
	return image_writer_finish(&w, err);
}

void locks_free(struct dump *d)
{
	free(d->files->locks);
}

bool locks_has_record(const struct dump *d, const struct task *task)
{
	for (size_t i = 0; i < d->files->lock_count; i++)
		if (d->files->locks[i].task == task && d->files->locks[i].kind == LOCK_POSIX)
			return true;
	return false;
}

/* --- restore -------------------------------------------------------------------------------------------------- */

static const FileLockEntry *lock_at(const struct restore *r, size_t index)
{
	return restore_files_of(r)->locks.items[index];
}

static bool has_descriptor(const struct restore *r, const FileLockEntry *lock)
{
	const struct checked_task *task = checked_set_find_task(r->images, (uint32_t)lock->pid);

	return task && task->fds && checked_fd_table_find(task->fds, (uint32_t)lock->fd);
}

static bool is_known_type(const FileLockEntry *lock)
{
	if (lock->flag == LOCK_LEASE && lock->type & LEASE_IS_BREAKING)
		return lock->type == (F_RDLCK | LEASE_IS_BREAKING) || lock->type == (F_UNLCK | LEASE_IS_BREAKING);
	return lock->type <= F_UNLCK;
}

static int check_kept(const struct restore *r, struct error *err)
{
	for (size_t i = 0; i < r->images->file_count; i++) {
		const RegFileEntry *entry = r->images->files[i].entry->reg;

		if (entry && entry->kept_flock && !checked_set_find_task(r->images, entry->kept_flock_pid))
			return error_say(err, -EBADMSG,
					 "files.img: %s: its lock is kept by process %u, which is not in the images",
					 entry->name, entry->kept_flock_pid);
	}
	return 0;
}

int locks_check(struct restore *r, struct error *err)
{
	struct restore_files *rf = restore_files_of(r);
	int result = image_read_list(r->set, IMAGE_FILELOCKS, 0, &file_lock_entry__descriptor, &rf->locks, err);

	for (size_t i = 0; i < rf->locks.count && result == 0; i++) {
		const FileLockEntry *lock = lock_at(r, i);

		if (lock->pid <= 0 || !has_descriptor(r, lock))
			result =
			    error_say(err, -EBADMSG, "filelocks.img: pid %d has no descriptor %d", lock->pid, lock->fd);
		else if (!is_known_type(lock) || lock->start < 0 || lock->len < 0)
			result = error_say(err, -EBADMSG, "pid %d, fd %d: locks of type %u are not supported",
					   lock->pid, lock->fd, lock->type);
	}
	return result == 0 ? check_kept(r, err) : result;
}

bool locks_have_lease(const struct restore *r)
{
	for (size_t i = 0; i < restore_files_of(r)->locks.count; i++)
		if (lock_at(r, i)->flag == LOCK_LEASE)
			return true;
	return false;
}

static bool is_breaking(const FileLockEntry *lock)
{
	return lock->flag == LOCK_LEASE && lock->type & LEASE_IS_BREAKING;
}

/* What it was is not told: only a write lease becomes one for reading, and who can write has no lease for reading. */
static int type_before(const FileLockEntry *lock)
{
	int flags = fcntl(lock->fd, F_GETFL);

	if (flags < 0)
		return -errno;
	return (lock->type & ~(uint32_t)LEASE_IS_BREAKING) == F_RDLCK || (flags & O_ACCMODE) != O_RDONLY ? F_WRLCK
													 : F_RDLCK;
}

static int take_and_break_lease(const FileLockEntry *lock)
{
	uint32_t target = lock->type & ~(uint32_t)LEASE_IS_BREAKING;
	int type = type_before(lock), r;

	/* Without an owner nobody is told; the caller brings that back. */
	if (type < 0 || fcntl(lock->fd, F_SETLEASE, type) < 0 || fcntl(lock->fd, F_SETOWN, 0) < 0)
		return type < 0 ? type : -errno;
	r = restore_reopen(lock->fd, (target == F_RDLCK ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_CLOEXEC);
	if (r == -EWOULDBLOCK)
		return 0;
	if (r >= 0)
		(void)close(r);
	return r < 0 ? r : -ENOLCK;
}

static int take_lock(const FileLockEntry *lock)
{
	struct flock range = {
		.l_type = (short)lock->type,
		.l_whence = SEEK_SET,
		.l_start = lock->start,
		.l_len = lock->len,
	};
	int r;

	switch (lock->flag) {
	case LOCK_POSIX:
		r = fcntl(lock->fd, F_SETLK, &range);
		break;
	case LOCK_FLOCK:
		r = flock(lock->fd, (lock->type == F_WRLCK ? LOCK_EX : LOCK_SH) | LOCK_NB);
		break;
	case LOCK_OFD:
		r = fcntl(lock->fd, F_OFD_SETLK, &range);
		break;
	case LOCK_LEASE:
		if (is_breaking(lock))
			return take_and_break_lease(lock);
		r = fcntl(lock->fd, F_SETLEASE, (int)lock->type);
		break;
	default:
		return -EOPNOTSUPP;
	}
	return r < 0 ? -errno : 0;
}

/* The first other process that /proc/locks names for the file; 0: none, or it cannot be told. */
static pid_t find_holder(int fd)
{
	AUTO_BUFFER struct buffer text = { 0 };
	struct stat st;
	char *state = NULL;

	if (fstat(fd, &st) < 0 || buffer_read_at(&text, AT_FDCWD, "/proc/locks") < 0)
		return 0;
	for (char *at = strtok_r(text.data, "\n", &state); at; at = strtok_r(NULL, "\n", &state)) {
		struct proc_lock line;

		if (proc_lock_parse(at, &line) == 0 && makedev(line.major, line.minor) == st.st_dev &&
		    line.inode == st.st_ino && line.pid > 0 && line.pid != getpid())
			return line.pid;
	}
	return 0;
}

static void describe_file(int fd, char *buffer, size_t bytes)
{
	char path[32];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, buffer, bytes - 1);
	buffer[n < 0 ? 0 : n] = '\0';
}

/* fd: ours. use: what the program has it as, "fd 3". */
static int refuse_taken(int fd, const char *use, uint32_t kind, int reason, struct error *err)
{
	pid_t holder = find_holder(fd);
	AUTO_CLOSE int procfd = holder ? proc_open(holder) : -1;
	char link[PATH_MAX], comm[64] = "?";

	describe_file(fd, link, sizeof(link));
	if (procfd < 0 || proc_read_comm(procfd, "comm", comm) < 0) {
		error_hint(err, "/proc/locks lists who holds locks");
		return error_say(err, reason, "%s, %s: take the %s: somebody else holds a lock on the file", use, link,
				 kind_name(kind));
	}
	error_hint(err, "end process %d, or have it give its lock up", holder);
	return error_say(err, reason, "%s, %s: take the %s: process %d (%s) holds a lock on the file", use, link,
			 kind_name(kind), holder, comm);
}

int locks_restore(struct restore *r, struct restore_task *task, struct error *err)
{
	for (size_t i = 0; i < restore_files_of(r)->locks.count; i++) {
		const FileLockEntry *lock = lock_at(r, i);
		int result;

		if (lock->pid != (int)task->image->entry->pid)
			continue;
		result = take_lock(lock);
		if (result == -EAGAIN || result == -EACCES) {
			char use[32];

			(void)snprintf(use, sizeof(use), "fd %d", lock->fd);
			return refuse_taken(lock->fd, use, lock->flag, result, err);
		}
		if (result == 0 && is_breaking(lock))
			result = fown_restore_again(r, restore_file_of_fd(r, task, lock->fd), lock->fd, err);
		if (result < 0)
			return error_set(err, result, "fd %d: take the %s", lock->fd, kind_name(lock->flag));
	}
	return 0;
}

int locks_restore_kept(const struct restore_task *task, const RegFileEntry *entry, uint32_t open_flags, int fd,
		       struct error *err)
{
	if (!entry->kept_flock || (pid_t)entry->kept_flock_pid != task->pid || (open_flags & O_ACCMODE) == O_RDONLY)
		return 0;
	if (flock(fd, (int)entry->kept_flock | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return refuse_taken(fd, "a mapping", LOCK_FLOCK, -EWOULDBLOCK, err);
	return error_set(err, -errno, "%s: take the lock (flock) that a mapping keeps", entry->name);
}

/* Of its table: whichever of the processes that share it closes what was ours takes the locks again. */
static bool is_record_lock_of(const struct restore *r, const FileLockEntry *lock, const struct checked_task *task)
{
	const struct checked_task *taker;

	if (lock->flag != LOCK_POSIX)
		return false;
	if (lock->pid == (int)task->entry->pid)
		return true;
	taker = checked_set_find_task(r->images, (uint32_t)lock->pid);
	return taker && taker->fds && taker->fds == task->fds;
}

uint64_t locks_room(const struct restore *r, const struct checked_task *task)
{
	size_t count = 0;

	for (size_t i = 0; i < restore_files_of(r)->locks.count; i++)
		count += is_record_lock_of(r, lock_at(r, i), task);
	return area_room(count, sizeof(struct restorer_file_lock));
}

int locks_plan(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	size_t count = 0;

	for (size_t i = 0; i < restore_files_of(r)->locks.count; i++)
		count += is_record_lock_of(r, lock_at(r, i), task->image);
	if (!count)
		return 0;
	restorer->file_locks = area_alloc(r, count * sizeof(*restorer->file_locks));
	if (!restorer->file_locks)
		return error_set(err, -ENOMEM, "restore area");
	for (size_t i = 0; i < restore_files_of(r)->locks.count; i++) {
		const FileLockEntry *lock = lock_at(r, i);

		if (is_record_lock_of(r, lock, task->image))
			restorer->file_locks[restorer->file_lock_count++] = (struct restorer_file_lock){
				.type = (int16_t)lock->type,
				.whence = SEEK_SET,
				.start = lock->start,
				.length = lock->len,
				.fd = lock->fd,
			};
	}
	return 0;
}

void locks_restore_free(struct restore *r)
{
	image_list_done(&restore_files_of(r)->locks);
}
