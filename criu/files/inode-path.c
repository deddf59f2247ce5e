/*
 * From an inode, as fdinfo tells of it, to a path: by its handle, as a mount point, as a file of the tree, by the names
 * that the kernel has of it in memory, and last by a search in the directories that the user names (--irmap-scan-path).
 */
#include "files/inode-path.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "kernel/kernel-memory.h"
#include "kernel/watched-inode.h"

#define NAMES_MAX  1000 /* of one inode that are tried */
#define MINOR_BITS 20   /* of the kernel's own device numbers */

dev_t inode_path_device(uint32_t sdev)
{
	return makedev(sdev >> MINOR_BITS, sdev & ((1u << MINOR_BITS) - 1));
}

static bool leads_to(const char *path, const struct inode_path *object)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_ino == object->inode && st.st_dev == inode_path_device(object->sdev);
}

int inode_path_open_handle(const char *mountpoint, uint32_t bytes, uint32_t type, const void *data)
{
	AUTO_CLOSE int mount = open(mountpoint, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + INODE_HANDLE_BYTES];
	} handle;
	int fd;

	if (mount < 0)
		return -errno;
	handle.head.handle_bytes = bytes;
	handle.head.handle_type = (int)type;
	memcpy(handle.room + sizeof(struct file_handle), data, bytes);
	fd = open_by_handle_at(mount, &handle.head, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool inode_path_is_on(const struct proc_mount *mount, uint32_t sdev)
{
	return makedev(mount->dev_major, mount->dev_minor) == inode_path_device(sdev);
}

/* Any mount of the filesystem opens a handle; the path is only good if it leads there through that mount. */
static char *path_by_handle(const struct proc_mounts *mounts, struct inode_path *object)
{
	for (size_t i = 0; object->handle.bytes && i < mounts->count; i++) {
		AUTO_FREE char *path = NULL;
		AUTO_CLOSE int fd = -1;
		char link[32];
		struct stat st;

		if (!inode_path_is_on(&mounts->mounts[i], object->sdev))
			continue;
		fd = inode_path_open_handle(mounts->mounts[i].mountpoint, object->handle.bytes, object->handle.type,
					    object->handle.data);
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0)
			continue;
		object->exists = true;
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (proc_read_link(AT_FDCWD, link, &path) == 0 && leads_to(path, object))
			return TAKE_PTR(path);
	}
	return NULL;
}

static char *path_of_mount(const struct proc_mounts *mounts, const struct inode_path *object)
{
	for (size_t i = 0; i < mounts->count; i++)
		if (inode_path_is_on(&mounts->mounts[i], object->sdev) &&
		    leads_to(mounts->mounts[i].mountpoint, object))
			return strdup(mounts->mounts[i].mountpoint);
	return NULL;
}

static char *path_of_known_file(const struct dump *d, const struct inode_path *object)
{
	for (size_t i = 0; i < d->files->count; i++) {
		const struct open_file *file = d->files->files[i];

		if (file->name_state == FILE_NAME_GOOD && file->st.st_ino == object->inode &&
		    leads_to(file->link, object))
			return strdup(file->link);
	}
	return NULL;
}

int inode_path_find(const struct dump *d, const struct proc_mounts *mounts, struct inode_path *object)
{
	if (!d->opts->force_irmap)
		object->path = path_by_handle(mounts, object);
	if (!object->path)
		object->path = path_of_mount(mounts, object);
	if (!object->path)
		object->path = path_of_known_file(d, object);
	return object->path ? 0 : -ENOENT;
}

/* Below the root of its filesystem; a mount may show only a part of that. */
static char *path_in_mounts(const struct proc_mounts *mounts, const struct inode_path *object, const char *inside)
{
	for (size_t i = 0; i < mounts->count; i++) {
		const struct proc_mount *mount = &mounts->mounts[i];
		const size_t root = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
		const char *base = strcmp(mount->mountpoint, "/") == 0 ? "" : mount->mountpoint;
		char *path;

		if (!inode_path_is_on(mount, object->sdev) || strncmp(inside, mount->root, root) != 0 ||
		    (inside[root] && inside[root] != '/'))
			continue;
		if (asprintf(&path, "%s%s", base, inside + root) < 0)
			return NULL;
		if (leads_to(path, object))
			return path;
		free(path);
	}
	return NULL;
}

int inode_path_ask_kernel(struct dump *d, const struct open_file *file, const struct proc_mounts *mounts,
			  struct inode_path *object)
{
	struct kernel_memory *km;
	char inside[PATH_MAX];

	if (d->opts->force_irmap || dump_kernel_memory(d, &km) < 0)
		return -ENOENT;
	for (size_t i = 0; i < NAMES_MAX && !object->path; i++) {
		if (watched_inode_name(km, file->task->pidfd, file->fd, object->sdev, object->inode, i, inside,
				       sizeof(inside)) < 0)
			break;
		object->path = path_in_mounts(mounts, object, inside);
	}
	return object->path ? 0 : -ENOENT;
}

/* nftw() hands nothing through to its callback. */
static _Thread_local struct {
	struct inode_path **objects; /* sorted */
	size_t count, left;
} search;

static int compare_objects(const void *a, const void *b)
{
	const struct inode_path *x = *(struct inode_path *const *)a, *y = *(struct inode_path *const *)b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* Several may be one inode, or have its number on another device. */
static int compare_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const struct inode_path wanted = { .inode = st->st_ino }, *key = &wanted;
	struct inode_path **found = bsearch(&key, search.objects, search.count, sizeof(*found), compare_objects);

	(void)type;
	(void)at;
	while (found && found > search.objects && found[-1]->inode == st->st_ino)
		found--;
	for (; found && found < search.objects + search.count && (*found)->inode == st->st_ino; found++) {
		if ((*found)->path || st->st_dev != inode_path_device((*found)->sdev))
			continue;
		(*found)->path = strdup(path);
		search.left--;
	}
	return search.left == 0;
}

void inode_path_search(const struct dump *d, struct inode_path **objects, size_t count)
{
	search.objects = objects;
	search.count = search.left = count;
	qsort(objects, count, sizeof(*objects), compare_objects);
	for (size_t i = 0; i < d->opts->irmap_scan_paths.count && search.left; i++)
		(void)nftw(d->opts->irmap_scan_paths.items[i], compare_entry, 16, FTW_PHYS);
}
