/*
 * Dump: only files of filesystems where it matters are asked, by BPF. Rights other than those of this program go to the
 * entry: effective and filesystem ids, groups, effective capabilities.
 *
 * Restore: the thread takes on what is wanted for as long as it takes to open the file. Its real and saved ids and its
 * permitted capabilities stay, by which it finds back.
 */
#include "files/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "engine/restore.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "files/thread-files.h"
#include "kernel/file-opener.h"
#include "kernel/kernel-memory.h"
#include "kernel/linkless-path.h"
#include "kernel/pidfd.h"
#include "task/restore-creds.h"

/* Who may read and write everything needs no groups for it. */
static bool has_same_groups(const struct file_opener *a, const struct file_opener *b)
{
	return a->cap_eff >> CAP_DAC_OVERRIDE & 1 ||
	       (a->group_count == b->group_count &&
		memcmp(a->groups, b->groups, a->group_count * sizeof(*a->groups)) == 0);
}

static bool is_same(const struct file_opener *a, const struct file_opener *b)
{
	return a->euid == b->euid && a->egid == b->egid && a->fsuid == b->fsuid && a->fsgid == b->fsgid &&
	       a->cap_eff == b->cap_eff && has_same_groups(a, b);
}

/* --- dump ----------------------------------------------------------------------------------------------------- */

struct openers {
	int unreadable; /* -errno: why the kernel's records cannot be read */
	struct file_opener own;
	bool is_owner_other; /* a thread of the tree has other rights than this program */
};

static int read_own(struct kernel_memory *km, struct file_opener *ret)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(getpid());
	AUTO_CLOSE int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	uint64_t address;
	int r;

	if (pidfd < 0 || fd < 0)
		return pidfd < 0 ? pidfd : -errno;
	r = kernel_memory_file(km, pidfd, fd, &address);
	return r < 0 ? r : file_opener_read(km, address, ret);
}

/* Only where there is no better way to know whether it could matter. */
static bool has_other_rights(const struct dump *d)
{
	struct own_creds own;

	if (own_creds_read(&own) < 0)
		return true;
	own_creds_done(&own); /* of its groups nothing is asked */
	for_each_task (d, task)
		for (size_t i = 0; i < task->thread_count && !task->is_zombie; i++) {
			const struct proc_status *status = &task->threads[i].status;

			if (status->uid[UID_EFFECTIVE] != own.euid || status->uid[UID_FS] != own.fsuid ||
			    (own.cap_eff & ~status->cap_eff))
				return true;
		}
	return false;
}

static struct openers *openers_of(struct dump *d)
{
	struct openers *openers = d->files->openers;
	struct kernel_memory *km;

	if (openers)
		return openers;
	openers = d->files->openers = calloc(1, sizeof(*openers));
	if (!openers)
		return NULL;
	openers->unreadable = dump_kernel_memory(d, &km);
	if (openers->unreadable == 0)
		openers->unreadable = read_own(km, &openers->own);
	if (openers->unreadable < 0)
		openers->is_owner_other = has_other_rights(d);
	return openers;
}

void openers_free(struct openers *openers)
{
	if (openers)
		file_opener_done(&openers->own);
	free(openers);
}

/* Files of the kernel's own, and what a server is asked for. */
static bool asks_for_opener(unsigned long magic)
{
	static const uint32_t filesystems[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,      CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
		TRACEFS_MAGIC,    SECURITYFS_MAGIC, NFS_SUPER_MAGIC,    SMB_SUPER_MAGIC,     CIFS_SUPER_MAGIC,
		SMB2_SUPER_MAGIC, CEPH_SUPER_MAGIC, V9FS_MAGIC,         AFS_FS_MAGIC,        AFS_SUPER_MAGIC,
		CODA_SUPER_MAGIC, FUSE_SUPER_MAGIC,
	};

	for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++)
		if (magic == filesystems[i])
			return true;
	return false;
}

static bool matters(struct dump *d, const struct open_file *file)
{
	unsigned long magic;

	if (file->fd < 0 || file->flags & O_PATH || !S_ISREG(file->st.st_mode) || file->dead_pid ||
	    major(file->st.st_dev) != 0)
		return false;
	magic = open_file_device(d, file)->magic;
	return !magic || asks_for_opener(magic);
}

static int read_opener(struct dump *d, const struct open_file *file, struct file_opener *ret)
{
	struct kernel_memory *km;
	uint64_t address;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = open_file_address(d, file, km, &address);
	return r < 0 ? r : file_opener_read(km, address, ret);
}

/* What the restorer opens in the name of a thread it opens with the rights of criu. */
static bool is_refused_of_thread(const struct dump *d, const struct open_file *file)
{
	static const char *const asking[] = { "/pagemap", "/uid_map", "/gid_map", "/projid_map", "/setgroups" };
	const char *name = strrchr(file->link, '/');

	if (!thread_of_path(d, file->link))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(asking); i++)
		if (!strcmp(name, asking[i]))
			return true;
	return false;
}

static int keep(struct dump *d, struct open_file *file, const struct file_opener *opener, struct error *err)
{
	const struct openers *openers = d->files->openers;

	if (opener->user_ns != openers->own.user_ns)
		return open_file_refuse(file, err, "was opened in another user namespace");
	if (is_same(opener, &openers->own))
		return 0;
	if (thread_of_path(d, file->link))
		return is_refused_of_thread(d, file)
			   ? open_file_refuse(file, err, "is of a thread, and was opened with other rights (user %u)",
					      opener->euid)
			   : 0;
	file->opener = malloc(sizeof(*file->opener));
	if (!file->opener)
		return open_file_error(file, err, -ENOMEM, "whose rights it has");
	*file->opener = *opener;
	return 1;
}

int opener_look_any(struct dump *d, struct open_file *file, struct error *err)
{
	const struct openers *openers;
	struct file_opener opener;
	char place[ERROR_WHOLE_BYTES];
	int r;

	openers = openers_of(d);
	if (!openers)
		return open_file_error(file, err, -ENOMEM, "whose rights it has");
	r = openers->unreadable < 0 ? openers->unreadable : read_opener(d, file, &opener);
	if (r < 0) {
		if (openers->unreadable == 0 || openers->is_owner_other)
			log_warn("%s: with whose rights it was opened cannot be told (%s): it gets those of the "
				 "restore\n",
				 open_file_describe(file, place, sizeof(place)), strerror(-r));
		return 0;
	}
	r = keep(d, file, &opener, err);
	if (r <= 0)
		file_opener_done(&opener);
	return r < 0 ? r : 0;
}

int opener_look(struct dump *d, struct open_file *file, struct error *err)
{
	return matters(d, file) ? opener_look_any(d, file, err) : 0;
}

static bool may_name_any(const struct task *task)
{
	for (size_t i = 0; i < task->thread_count; i++)
		if (!(task->threads[i].status.cap_eff >> CAP_DAC_READ_SEARCH & 1))
			return false;
	return true;
}

/*
 * linkat(2) with AT_EMPTY_PATH takes a descriptor without that capability if it was opened with the very rights that
 * the thread has: no others of the same value, and those that a restore gives are others.
 */
void opener_look_nameless(struct dump *d, const struct open_file *file)
{
	uint64_t address, thread;
	char place[ERROR_WHOLE_BYTES];
	struct kernel_memory *km;
	bool is_own = false;
	int r;

	if (file->fd < 0 || d->is_live || may_name_any(file->task))
		return;
	r = dump_kernel_memory(d, &km);
	if (r == 0)
		r = open_file_address(d, file, km, &address);
	if (r == 0)
		r = kernel_memory_thread(km, file->task->pidfd, file->task->acting_tid, &thread);
	if (r == 0)
		r = file_opener_is_thread(km, address, thread, &is_own);
	if (r < 0 || is_own)
		log_warn("%s: linkat(2) with AT_EMPTY_PATH cannot give it a name after a restore without "
			 "CAP_DAC_READ_SEARCH; by its path in /proc it can\n",
			 open_file_describe(file, place, sizeof(place)));
}

void opener_free(struct open_file *file)
{
	if (file->opener)
		file_opener_done(file->opener);
	free(file->opener);
	file->opener = NULL;
}

FileOpener *opener_save(struct dump *d, const struct open_file *file)
{
	const struct file_opener *from = file->opener;
	FileOpener *to = files_scratch(d, sizeof(*to));

	if (!to)
		return NULL;
	file_opener__init(to);
	to->euid = from->euid;
	to->egid = from->egid;
	to->fsuid = from->fsuid;
	to->fsgid = from->fsgid;
	to->capabilities = from->cap_eff;
	to->groups = from->groups;
	to->n_groups = from->group_count;
	return to;
}

/* --- restore -------------------------------------------------------------------------------------------------- */

static struct file_opener rights_of(const FileOpener *opener)
{
	return (struct file_opener){
		.euid = opener->euid,
		.egid = opener->egid,
		.fsuid = opener->fsuid,
		.fsgid = opener->fsgid,
		.cap_eff = opener->capabilities,
		.groups = opener->groups,
		.group_count = opener->n_groups,
	};
}

static struct file_opener own_rights(const struct own_creds *own)
{
	return (struct file_opener){
		.euid = own->euid,
		.egid = own->egid,
		.fsuid = own->fsuid,
		.fsgid = own->fsgid,
		.cap_eff = own->cap_eff,
		.groups = own->groups,
		.group_count = own->group_count,
	};
}

static bool has_rights(const struct own_creds *own, const FileOpener *opener)
{
	const struct file_opener wanted = rights_of(opener), here = own_rights(own);

	return is_same(&wanted, &here);
}

int opener_check(struct restore *r, const struct restore_file *file, const FileOpener *opener, struct error *err)
{
	const uint64_t ids = 1ull << CAP_SETUID | 1ull << CAP_SETGID;
	char names[512];
	uint64_t missing;

	if (!opener || has_rights(r->own_creds, opener))
		return 0;
	missing = (opener->capabilities | ids) & ~r->own_creds->cap_prm;
	if (!missing)
		return 0;
	restore_creds_name(missing, names, sizeof(names));
	error_hint(err, "restore with these capabilities");
	return restore_refuse(r, file, err, "%s: the rights with which it was opened cannot be given here without %s",
			      file->entry->reg ? file->entry->reg->name : file->kind->name, names);
}

/* Of this thread alone, whatever the C library does for all of them. */
static int set_effective(const struct own_creds *own, uint64_t effective)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective, (uint32_t)own->cap_prm, (uint32_t)own->cap_inh },
		{ (uint32_t)(effective >> 32), (uint32_t)(own->cap_prm >> 32), (uint32_t)(own->cap_inh >> 32) },
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int set_ids(uint32_t euid, uint32_t egid, uint32_t fsgid)
{
	if (syscall(SYS_setresgid, -1, egid, -1) < 0)
		return -errno;
	(void)syscall(SYS_setfsgid, fsgid);
	if (syscall(SYS_setfsgid, -1) != (long)fsgid)
		return -EPERM;
	return syscall(SYS_setresuid, -1, euid, -1) < 0 ? -errno : 0;
}

static int set_fsuid(uint32_t fsuid)
{
	(void)syscall(SYS_setfsuid, fsuid);
	return syscall(SYS_setfsuid, -1) == (long)fsuid ? 0 : -EPERM;
}

/* A change of ids takes capabilities out of effect: they are put back until the last one was set. */
static int take_on(const struct own_creds *own, const struct file_opener *rights)
{
	int r = set_effective(own, own->cap_prm);

	if (r == 0)
		r = syscall(SYS_setgroups, rights->group_count, rights->groups) < 0 ? -errno : 0;
	if (r == 0)
		r = set_ids(rights->euid, rights->egid, rights->fsgid);
	if (r == 0)
		r = set_effective(own, own->cap_prm);
	if (r == 0)
		r = set_fsuid(rights->fsuid);
	return r < 0 ? r : set_effective(own, rights->cap_eff);
}

static bool is_of_process(const char *path)
{
	return !strncmp(path, "/proc/", 6) && path[6] >= '1' && path[6] <= '9';
}

/* Each change of ids changes whether the process is dumpable, which is put back. */
int opener_call(struct restore *r, const FileOpener *opener, int (*make)(void *), void *arg, struct error *err)
{
	struct file_opener wanted, own;
	AUTO_CLOSE int fd = -1;
	int dumpable, result;

	if (!opener || has_rights(r->own_creds, opener))
		return make(arg);
	wanted = rights_of(opener);
	own = own_rights(r->own_creds);
	dumpable = prctl(PR_GET_DUMPABLE);
	result = take_on(r->own_creds, &wanted);
	if (result == 0) {
		/* With other ids the kernel gives files of the process to root. */
		(void)prctl(PR_SET_DUMPABLE, 1);
		result = fd = make(arg);
	} else {
		(void)error_set(err, result, "take on the rights of user %u", opener->euid);
	}
	if (take_on(r->own_creds, &own) < 0)
		return error_set(err, -EPERM, "go back from the rights of user %u", opener->euid);
	if (dumpable >= 0 && dumpable <= 1)
		(void)prctl(PR_SET_DUMPABLE, dumpable);
	return result < 0 ? result : take_fd(&fd);
}

struct opening {
	const struct own_creds *own;
	const FileOpener *opener;
	const char *path;
	uint32_t flags;
	int inode; /* O_PATH */
};

/*
 * As it was opened then. Directories above it may have been closed to the opener since, or it came in by another way:
 * its inode still has to let him in. To look at a process of the tree takes more than it will when that one has its
 * own ids: none of what is added here is ever asked for in files below /proc/PID.
 */
static int open_as(void *arg)
{
	const struct opening *o = arg;
	const uint64_t passing = 1ull << CAP_SYS_PTRACE | 1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_DAC_OVERRIDE;
	int fd = open(o->path, (int)o->flags);

	fd = fd < 0 ? -errno : fd;
	if (fd == -EACCES || fd == -EPERM)
		fd = restore_reopen(o->inode, o->flags);
	if ((fd != -EACCES && fd != -EPERM) || !is_of_process(o->path))
		return fd;
	if (set_effective(o->own, o->opener->capabilities | (passing & o->own->cap_prm)) == 0)
		fd = restore_reopen(o->inode, o->flags);
	return fd;
}

/* A flag that a later opening would lose: only what is above it is gone through before. */
static int walk_and_open(const char *path, uint32_t flags, uid_t *ret_stranger)
{
	const char *name = strrchr(path, '/') + 1;
	AUTO_FREE char *directory = strndup(path, (size_t)(name - path));
	AUTO_CLOSE int above = directory ? linkless_path_walk(directory, ret_stranger) : -ENOMEM;
	int fd;

	if (above < 0)
		return above;
	fd = openat(above, *name ? name : ".", (int)flags);
	return fd < 0 ? -errno : fd;
}

static int walk_and_reopen(const char *path, uint32_t flags, uid_t *ret_stranger)
{
	AUTO_CLOSE int inode = linkless_path_walk(path, ret_stranger);

	return inode < 0 ? inode : restore_reopen(inode, flags);
}

/* A link leads to a file of its owner, or it is root's or ours: nobody gets what he could not open himself. */
static int open_behind_links(const char *path, uint32_t flags, struct error *err)
{
	uid_t stranger;
	AUTO_CLOSE int fd =
	    flags & O_NOFOLLOW ? walk_and_open(path, flags, &stranger) : walk_and_reopen(path, flags, &stranger);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fd < 0 ? fd : -errno;
	if (stranger != (uid_t)-1 && stranger != st.st_uid) {
		error_hint(err, "--path-map OLD=NEW names the place itself");
		return error_say(
		    err, -EACCES,
		    "%s leads to a file of user %u through a symbolic link of user %u, which was not there "
		    "when it was dumped",
		    path, st.st_uid, stranger);
	}
	return take_fd(&fd);
}

static int open_path(const char *path, uint32_t flags, struct error *err)
{
	int fd = linkless_path_open(path, (int)flags);

	return fd == -ELOOP ? open_behind_links(path, flags, err) : fd;
}

int opener_open(struct restore *r, const RegFileEntry *entry, const char *path, uint32_t flags, struct error *err)
{
	struct opening opening = { .own = r->own_creds, .opener = entry->opener, .path = path, .flags = flags };
	AUTO_CLOSE int inode = -1;
	int fd;

	if (!entry->opener || has_rights(r->own_creds, entry->opener))
		return open_path(path, flags, err);
	inode = open(path, (int)(O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW)));
	if (inode < 0)
		return -errno;
	opening.inode = inode;
	fd = opener_call(r, entry->opener, open_as, &opening, err);
	return fd < 0 ? error_set(err, fd, "open %s with the rights of user %u, as it was opened", path,
				  entry->opener->euid)
		      : fd;
}
