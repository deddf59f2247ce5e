#include "kernel/watched-inode.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/kernel-memory.h"

/* A tree that changes meanwhile must not lead round in circles. */
#define MARKS_MAX 100000
#define DEPTH_MAX 1000

struct offsets {
	int marks, mark, dentries, alias, name, name_text;
};

static int find_offset(struct kernel_memory *km, const char *structure, const char *member, int *r)
{
	int offset = kernel_memory_offset(km, structure, member);

	if (offset < 0 && *r == 0)
		*r = offset;
	return offset;
}

static int find_offsets(struct kernel_memory *km, struct offsets *ret)
{
	int r = 0;

	*ret = (struct offsets){
		.marks = find_offset(km, "fsnotify_group", "marks_list", &r),
		.mark = find_offset(km, "fsnotify_mark", "g_list", &r),
		.dentries = find_offset(km, "inode", "i_dentry", &r),
		.alias = find_offset(km, "dentry", "d_u", &r),
		.name = find_offset(km, "dentry", "d_name", &r),
		.name_text = find_offset(km, "qstr", "name", &r),
	};
	return r;
}

static int read_word(struct kernel_memory *km, uint64_t address, uint64_t *ret)
{
	return kernel_memory_read(km, address, ret, sizeof(*ret));
}

/* What is marked may be no inode: any other structure does not look like this one. */
static bool is_inode(struct kernel_memory *km, uint64_t object, uint32_t sdev, uint64_t number)
{
	uint64_t found, filesystem;
	uint32_t device;

	return KERNEL_MEMBER(km, object, "inode", "i_ino", &found) == 0 && found == number &&
	       KERNEL_MEMBER(km, object, "inode", "i_sb", &filesystem) == 0 &&
	       KERNEL_MEMBER(km, filesystem, "super_block", "s_dev", &device) == 0 && device == sdev;
}

static int find_inode(struct kernel_memory *km, const struct offsets *offsets, uint64_t group, uint32_t sdev,
		      uint64_t number, uint64_t *ret)
{
	const uint64_t head = group + (uint64_t)offsets->marks;
	uint64_t at = 0, connector, object;
	int r = read_word(km, head, &at);

	for (size_t i = 0; r == 0 && at != head && i < MARKS_MAX; i++) {
		const uint64_t mark = at - (uint64_t)offsets->mark;

		if (KERNEL_MEMBER(km, mark, "fsnotify_mark", "connector", &connector) == 0 && connector &&
		    KERNEL_MEMBER(km, connector, "fsnotify_mark_connector", "obj", &object) == 0 &&
		    is_inode(km, object, sdev, number)) {
			*ret = object;
			return 0;
		}
		r = read_word(km, at, &at);
	}
	return r < 0 ? r : -ENOENT;
}

static int find_alias(struct kernel_memory *km, const struct offsets *offsets, uint64_t inode, size_t which,
		      uint64_t *ret)
{
	uint64_t node = 0;
	int r = read_word(km, inode + (uint64_t)offsets->dentries, &node);

	for (size_t i = 0; r == 0 && node && i < which && i < MARKS_MAX; i++)
		r = read_word(km, node, &node);
	if (r < 0 || !node)
		return r < 0 ? r : -ENOENT;
	*ret = node - (uint64_t)offsets->alias;
	return 0;
}

/* Puts "/NAME" in front of what is at *at. */
static int prepend(struct kernel_memory *km, const struct offsets *offsets, uint64_t dentry, const char *path,
		   char **at)
{
	const uint64_t name = dentry + (uint64_t)offsets->name;
	uint64_t text;
	uint32_t length;
	int r = KERNEL_MEMBER(km, name, "qstr", "len", &length);

	if (r == 0)
		r = read_word(km, name + (uint64_t)offsets->name_text, &text);
	if (r < 0)
		return r;
	if (length == 0 || length + 1 > (size_t)(*at - path))
		return -ENAMETOOLONG;
	*at -= length + 1;
	**at = '/';
	return kernel_memory_read(km, text, *at + 1, length);
}

static int read_path(struct kernel_memory *km, const struct offsets *offsets, uint64_t dentry, char *path, size_t bytes)
{
	char *at = path + bytes - 1;
	uint64_t parent;

	*at = '\0';
	for (size_t depth = 0; depth < DEPTH_MAX; depth++) {
		int r = KERNEL_MEMBER(km, dentry, "dentry", "d_parent", &parent);

		if (r == 0 && parent == dentry) {
			memmove(path, at, (size_t)(path + bytes - at));
			return 0;
		}
		if (r == 0)
			r = prepend(km, offsets, dentry, path, &at);
		if (r < 0)
			return r;
		dentry = parent;
	}
	return -ELOOP;
}

int watched_inode_name(struct kernel_memory *km, int pidfd, int fd, uint32_t sdev, uint64_t inode, size_t which,
		       char *path, size_t bytes)
{
	uint64_t file, group, object = 0, dentry = 0;
	struct offsets offsets;
	int r = find_offsets(km, &offsets);

	if (r == 0)
		r = kernel_memory_file(km, pidfd, fd, &file);
	if (r == 0)
		r = KERNEL_MEMBER(km, file, "file", "private_data", &group);
	if (r == 0)
		r = find_inode(km, &offsets, group, sdev, inode, &object);
	if (r == 0)
		r = find_alias(km, &offsets, object, which, &dentry);
	return r < 0 ? r : read_path(km, &offsets, dentry, path, bytes);
}
