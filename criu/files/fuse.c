/*
 * FUSE filesystems whose server is of the tree. While that stands still nobody answers for their files: even to close a
 * borrowed descriptor of one waits for it, and not even SIGKILL ends that. So no file is touched before it is known
 * that there is none: descriptors are asked through /proc for what the kernel knows without the server. Nor is a path
 * followed that leads through such a filesystem, which may have been mounted over files that are open.
 */
#include "files/fuse.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "engine/options.h"
#include "kernel/proc-list.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "task/task.h"

#define MISC_MAJOR 10
#define FUSE_MINOR 229

struct server {
	const struct task *task;
	int fd;
	struct proc_mounts mounts;     /* as it sees them */
	struct proc_mounts own_mounts; /* as we do, who follow the paths */
};

static bool is_fuse(const struct proc_mount *mount)
{
	return !strcmp(mount->fstype, "fuse") || !strcmp(mount->fstype, "fuseblk") ||
	       !strncmp(mount->fstype, "fuse.", strlen("fuse."));
}

bool fuse_is_mounted(int procfd)
{
	AUTO_PROC_MOUNTS struct proc_mounts mounts = { 0 };

	if (proc_mounts_read(procfd, &mounts) < 0)
		return false;
	for (size_t i = 0; i < mounts.count; i++)
		if (is_fuse(&mounts.mounts[i]))
			return true;
	return false;
}

static bool read_link(const struct task *task, const char *link, struct statx *ret)
{
	return statx(task->procfd, link, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, ret) == 0;
}

static bool is_link_to_server(const struct task *task, const char *link, const struct proc_mounts *mounts)
{
	struct statx sx;

	return read_link(task, link, &sx) && S_ISCHR(sx.stx_mode) && sx.stx_rdev_major == MISC_MAJOR &&
	       sx.stx_rdev_minor == FUSE_MINOR;
}

static bool is_served(const struct statx *sx, const struct proc_mounts *mounts)
{
	const struct proc_mount *mount =
	    sx->stx_mask & STATX_MNT_ID ? proc_mounts_find(mounts, (int)sx->stx_mnt_id) : NULL;

	return mount && is_fuse(mount);
}

static bool is_link_to_served(const struct task *task, const char *link, const struct proc_mounts *mounts)
{
	struct statx sx;

	return read_link(task, link, &sx) && is_served(&sx, mounts);
}

static bool is_mapped(const struct proc_vma *vma, const struct proc_mounts *mounts)
{
	for (size_t i = 0; vma->inode && i < mounts->count; i++)
		if (is_fuse(&mounts->mounts[i]) && mounts->mounts[i].dev_major == vma->dev_major &&
		    mounts->mounts[i].dev_minor == vma->dev_minor)
			return true;
	return false;
}

static bool leads_through(const char *path, const struct proc_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++) {
		const char *mountpoint = mounts->mounts[i].mountpoint;
		size_t bytes = strlen(mountpoint);

		if (is_fuse(&mounts->mounts[i]) && !strncmp(path, mountpoint, bytes) &&
		    (path[bytes] == '/' || path[bytes] == '\0'))
			return true;
	}
	return false;
}

static bool is_link_through(const struct task *task, const char *link, const struct proc_mounts *mounts)
{
	AUTO_FREE char *path = NULL;

	return proc_read_link(task->procfd, link, &path) == 0 && leads_through(path, mounts);
}

/* What is asked of one descriptor of a task. */
typedef bool (*is_wanted_fn)(const struct task *task, const char *link, const struct proc_mounts *mounts);

/* A descriptor, -1 when there is none. */
static int find_fd(const struct task *task, is_wanted_fn is_wanted, const struct proc_mounts *mounts)
{
	AUTO_FREE int *numbers = NULL;
	size_t count = 0;
	char link[32];

	if (proc_list_fds(task->procfd, &numbers, &count) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		(void)snprintf(link, sizeof(link), "fd/%d", numbers[i]);
		if (is_wanted(task, link, mounts))
			return numbers[i];
	}
	return -1;
}

static const char is_there[] = "is on a FUSE filesystem", is_behind[] = "has a path through a FUSE filesystem";

/* "fd 7": what of the task's nobody could answer for, and *ret_how; false: nothing. */
static bool find_use(const struct task *task, const struct server *server, char *ret, size_t bytes,
		     const char **ret_how)
{
	static const char *const links[][2] = {
		{ "exe", "program" },
		{ "cwd", "working directory" },
		{ "root", "root directory" },
	};
	int fd = find_fd(task, is_link_to_served, &server->mounts);

	*ret_how = is_there;
	if (fd < 0) {
		*ret_how = is_behind;
		fd = find_fd(task, is_link_through, &server->own_mounts);
	}
	if (fd >= 0) {
		(void)snprintf(ret, bytes, "fd %d", fd);
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		bool there = is_link_to_served(task, links[i][0], &server->mounts);

		if (there || is_link_through(task, links[i][0], &server->own_mounts)) {
			*ret_how = there ? is_there : is_behind;
			(void)snprintf(ret, bytes, "%s", links[i][1]);
			return true;
		}
	}
	for (size_t i = 0; i < task->maps.count; i++) {
		const struct proc_vma *vma = &task->maps.vmas[i];
		bool there = is_mapped(vma, &server->mounts);

		if (there || leads_through(proc_vma_path(&task->maps, vma), &server->own_mounts)) {
			*ret_how = there ? is_there : is_behind;
			(void)snprintf(ret, bytes, "mapping %llx-%llx", (unsigned long long)vma->start,
				       (unsigned long long)vma->end);
			return true;
		}
	}
	return false;
}

static int check_task(const struct task *task, const struct server *server, struct error *err)
{
	const char *how;
	char use[64];

	if (task->is_zombie || !find_use(task, server, use, sizeof(use), &how))
		return 0;
	error_hint(err, how == is_there ? "have the file closed before the dump, or leave the server out of the tree"
					: "unmount it before the dump, or leave the server out of the tree");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ", %s: %s, and pid %d (%s), a FUSE server by its fd %d, is of the tree: it cannot "
				     "answer while it stands still",
			 TASK_ARGS(task), use, how, TASK_ARGS(server->task), server->fd);
}

static bool is_served_fd(int fd, const struct proc_mounts *mounts)
{
	struct statx sx;

	return fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &sx) == 0 &&
	       is_served(&sx, mounts);
}

static int check_directories(const struct dump *d, const struct server *server, struct error *err)
{
	const char *what;

	if (is_served_fd(d->opts->images_dir_fd, &server->own_mounts))
		what = "image";
	else if (is_served_fd(d->opts->work_dir_fd, &server->own_mounts))
		what = "work";
	else
		return 0;
	error_hint(err, "choose another directory, or leave the server out of the tree");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ", a FUSE server by its fd %d: the %s directory is on a FUSE filesystem, and the "
				     "server cannot answer while it stands still",
			 TASK_ARGS(server->task), server->fd, what);
}

static int read_mounts(struct server *server)
{
	AUTO_CLOSE int procfd = proc_open(getpid());
	int r = procfd < 0 ? procfd : proc_mounts_read(procfd, &server->own_mounts);

	return r < 0 ? r : proc_mounts_read(server->task->procfd, &server->mounts);
}

static int look(const struct dump *d, struct server *server, struct error *err)
{
	int r;

	for (size_t i = 0; i < d->task_count && server->fd < 0; i++) {
		server->task = d->tasks[i];
		server->fd = server->task->is_zombie ? -1 : find_fd(server->task, is_link_to_server, NULL);
	}
	if (server->fd < 0 || read_mounts(server) < 0)
		return 0;
	r = check_directories(d, server, err);
	for (size_t i = 0; i < d->task_count && r == 0; i++)
		r = check_task(d->tasks[i], server, err);
	return r;
}

int fuse_look(const struct dump *d, struct error *err)
{
	struct server server = { .fd = -1 };
	int r;

	if (!d->has_fuse || d->is_live)
		return 0;
	r = look(d, &server, err);
	proc_mounts_done(&server.mounts);
	proc_mounts_done(&server.own_mounts);
	return r;
}
