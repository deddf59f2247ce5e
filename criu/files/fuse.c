/*
 * FUSE filesystems whose server is of the tree. While that stands still nobody answers for their files: even to close a
 * borrowed descriptor of one waits for it, and not even SIGKILL ends that. So no file is touched before it is known
 * that there is none: descriptors are asked through /proc for what the kernel knows without the server.
 */
#include "files/fuse.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "kernel/proc-list.h"
#include "kernel/proc-misc.h"
#include "task/task.h"

#define MISC_MAJOR 10
#define FUSE_MINOR 229

struct server {
	const struct task *task;
	int fd;
};

/* What one descriptor of a task is told to be. */
typedef bool (*is_wanted_fn)(const struct proc_mounts *mounts, const struct statx *sx);

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

static bool is_server(const struct proc_mounts *mounts, const struct statx *sx)
{
	return S_ISCHR(sx->stx_mode) && sx->stx_rdev_major == MISC_MAJOR && sx->stx_rdev_minor == FUSE_MINOR;
}

static bool is_served(const struct proc_mounts *mounts, const struct statx *sx)
{
	const struct proc_mount *mount =
	    sx->stx_mask & STATX_MNT_ID ? proc_mounts_find(mounts, (int)sx->stx_mnt_id) : NULL;

	return mount && is_fuse(mount);
}

static bool is_link(const struct task *task, const char *link, is_wanted_fn is_wanted, const struct proc_mounts *mounts)
{
	struct statx sx;

	return statx(task->procfd, link, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &sx) == 0 &&
	       is_wanted(mounts, &sx);
}

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
		if (is_link(task, link, is_wanted, mounts))
			return numbers[i];
	}
	return -1;
}

static bool is_mapped(const struct proc_vma *vma, const struct proc_mounts *mounts)
{
	for (size_t i = 0; vma->inode && i < mounts->count; i++)
		if (is_fuse(&mounts->mounts[i]) && mounts->mounts[i].dev_major == vma->dev_major &&
		    mounts->mounts[i].dev_minor == vma->dev_minor)
			return true;
	return false;
}

/* "fd 7": what of the task's is on such a filesystem; false: nothing. */
static bool find_use(const struct task *task, const struct proc_mounts *mounts, char *ret, size_t bytes)
{
	static const char *const links[][2] = {
		{ "exe", "program" },
		{ "cwd", "working directory" },
		{ "root", "root directory" },
	};
	int fd = find_fd(task, is_served, mounts);

	if (fd >= 0) {
		(void)snprintf(ret, bytes, "fd %d", fd);
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		if (is_link(task, links[i][0], is_served, mounts)) {
			(void)snprintf(ret, bytes, "%s", links[i][1]);
			return true;
		}
	}
	for (size_t i = 0; i < task->maps.count; i++) {
		const struct proc_vma *vma = &task->maps.vmas[i];

		if (is_mapped(vma, mounts)) {
			(void)snprintf(ret, bytes, "mapping %llx-%llx", (unsigned long long)vma->start,
				       (unsigned long long)vma->end);
			return true;
		}
	}
	return false;
}

static int check_task(const struct task *task, const struct server *server, const struct proc_mounts *mounts,
		      struct error *err)
{
	char use[64];

	if (task->is_zombie || !find_use(task, mounts, use, sizeof(use)))
		return 0;
	error_hint(err, "have the file closed before the dump, or leave the server out of the tree");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT
			 ", %s: is on a FUSE filesystem, and pid %d (%s), a FUSE server by its fd %d, is of "
			 "the tree: it cannot answer while it stands still",
			 TASK_ARGS(task), use, TASK_ARGS(server->task), server->fd);
}

int fuse_look(const struct dump *d, struct error *err)
{
	AUTO_PROC_MOUNTS struct proc_mounts mounts = { 0 };
	struct server server = { .fd = -1 };
	int r = 0;

	if (!d->has_fuse || d->is_live)
		return 0;
	for (size_t i = 0; i < d->task_count && server.fd < 0; i++) {
		server.task = d->tasks[i];
		server.fd = server.task->is_zombie ? -1 : find_fd(server.task, is_server, NULL);
	}
	if (server.fd < 0 || proc_mounts_read(server.task->procfd, &mounts) < 0)
		return 0;
	for (size_t i = 0; i < d->task_count && r == 0; i++)
		r = check_task(d->tasks[i], &server, &mounts, err);
	return r;
}
