/*
 * Extended attributes are read and set by the link in /proc, for a descriptor that is good for any kind of inode
 * (O_PATH) allows none of these calls.
 */
#include "files/file-attributes.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cleanup.h"

struct link_path {
	char text[32];
};

static struct link_path link_of(int fd)
{
	struct link_path path;

	(void)snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
}

static int read_xattr(struct arena *arena, const char *path, const char *name, FileXattr *ret)
{
	ssize_t size = getxattr(path, name, NULL, 0);

	if (size < 0)
		return -errno;
	file_xattr__init(ret);
	ret->name = arena_strdup(arena, name);
	ret->value.data = arena_alloc(arena, (size_t)size + 1);
	if (!ret->name || !ret->value.data)
		return -ENOMEM;
	size = getxattr(path, name, ret->value.data, (size_t)size);
	if (size < 0)
		return -errno;
	ret->value.len = (size_t)size;
	return 0;
}

static size_t count_names(const char *names, size_t bytes)
{
	size_t count = 0;

	for (size_t i = 0; i < bytes; i++)
		count += !names[i];
	return count;
}

int file_xattrs_read(struct arena *arena, int fd, size_t *ret_count, FileXattr ***ret)
{
	const struct link_path path = link_of(fd);
	AUTO_FREE char *names = malloc(XATTR_LIST_MAX);
	FileXattr *xattrs, **pointers;
	ssize_t bytes;
	size_t count;

	*ret_count = 0;
	if (!names)
		return -ENOMEM;
	bytes = listxattr(path.text, names, XATTR_LIST_MAX);
	if (bytes <= 0)
		return bytes == 0 || errno == EOPNOTSUPP ? 0 : -errno;
	count = count_names(names, (size_t)bytes);
	pointers = arena_alloc(arena, count * sizeof(*pointers));
	xattrs = arena_alloc(arena, count * sizeof(*xattrs));
	if (!pointers || !xattrs)
		return -ENOMEM;
	for (size_t i = 0, at = 0; i < count; i++, at += strlen(names + at) + 1) {
		int r = read_xattr(arena, path.text, names + at, &xattrs[i]);

		if (r < 0)
			return r;
		pointers[i] = &xattrs[i];
	}
	*ret_count = count;
	*ret = pointers;
	return 0;
}

int file_xattrs_set(int fd, size_t count, FileXattr *const *xattrs, struct error *err)
{
	const struct link_path path = link_of(fd);

	for (size_t i = 0; i < count; i++)
		if (setxattr(path.text, xattrs[i]->name, xattrs[i]->value.data, xattrs[i]->value.len, 0) < 0)
			return error_set(err, -errno, "set its attribute %s", xattrs[i]->name);
	return 0;
}

int file_attributes_fill(struct arena *arena, const struct inode_attributes *from, FileAttributes **ret)
{
	FileAttributes *entry;

	*ret = NULL;
	if (!from->is_known && !from->write_hint)
		return 0;
	entry = arena_alloc(arena, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	file_attributes__init(entry);
	entry->has_flags = from->is_known;
	entry->flags = from->flags;
	entry->has_write_hint = from->write_hint != 0;
	entry->write_hint = from->write_hint;
	entry->has_xflags = entry->has_extent_bytes = entry->has_project = entry->has_cow_extent_bytes = from->has_more;
	entry->xflags = from->xflags;
	entry->extent_bytes = from->extent_bytes;
	entry->project = from->project;
	entry->cow_extent_bytes = from->cow_extent_bytes;
	*ret = entry;
	return 0;
}

struct inode_attributes file_attributes_of(const FileAttributes *entry)
{
	return (struct inode_attributes){
		.is_known = entry->has_flags,
		.flags = entry->flags,
		.has_more = entry->has_xflags,
		.xflags = entry->xflags,
		.extent_bytes = entry->extent_bytes,
		.project = entry->project,
		.cow_extent_bytes = entry->cow_extent_bytes,
		.write_hint = entry->write_hint,
	};
}
