#include "files/directory-names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"

struct directory_name {
	ino_t inode;
	char *name;
};

static int compare_names(const void *a, const void *b)
{
	const struct directory_name *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* The time of its last access stays, as far as the rights go. */
static DIR *open_directory(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
	DIR *dir;

	if (fd < 0 && errno == EPERM)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir)
		(void)take_fd(&fd);
	return dir;
}

static int add_name(struct directory_names *names, const struct dirent *entry)
{
	char *name;
	int r = array_reserve(&names->items, &names->capacity, names->count, sizeof(*names->items));

	if (r < 0)
		return r;
	name = strdup(entry->d_name);
	if (!name)
		return -ENOMEM;
	names->items[names->count++] = (struct directory_name){ .inode = entry->d_ino, .name = name };
	return 0;
}

static int read_names(struct directory_names *names, const char *path)
{
	AUTO_CLOSEDIR DIR *dir = open_directory(path);
	const struct dirent *entry;
	int r = 0;

	directory_names_done(names);
	if (!dir)
		return -errno;
	names->path = strdup(path);
	if (!names->path)
		return -ENOMEM;
	names->dirfd = fcntl(dirfd(dir), F_DUPFD_CLOEXEC, 0);
	if (names->dirfd < 0)
		r = -errno;
	while (r == 0 && (entry = readdir(dir)))
		r = add_name(names, entry);
	if (r == 0 && names->count)
		qsort(names->items, names->count, sizeof(*names->items), compare_names);
	if (r < 0)
		directory_names_done(names);
	return r;
}

static bool is_name_of(const struct directory_names *names, const char *name, const struct stat *st)
{
	struct stat found;

	return fstatat(names->dirfd, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_dev == st->st_dev &&
	       found.st_ino == st->st_ino;
}

static size_t first_of(const struct directory_names *names, ino_t inode)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (names->items[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *directory_names_find(struct directory_names *names, const char *path, const struct stat *st)
{
	if ((!names->path || strcmp(names->path, path) != 0) && read_names(names, path) < 0)
		return NULL;
	for (size_t i = first_of(names, st->st_ino); i < names->count && names->items[i].inode == st->st_ino; i++)
		if (is_name_of(names, names->items[i].name, st))
			return names->items[i].name;
	return NULL;
}

void directory_names_done(struct directory_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i].name);
	free(names->items);
	if (names->path)
		close_fd(&names->dirfd);
	free(names->path);
	*names = (struct directory_names){ .dirfd = -1 };
}
