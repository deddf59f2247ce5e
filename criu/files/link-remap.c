/*
 * Files whose name was taken away or taken over while the inode has other links somewhere. The content is not ours to
 * copy: other links would no longer be the same file. A link in the directory of the old name is found and taken
 * instead: renaming a file over another and keeping a backup both leave it there. Else, with --link-remap, the dump
 * makes a link of its own to the inode, link_remap.ID in that directory, which the restore opens and removes when all
 * is done; without it such a file is refused.
 *
 * A link made by a dump that did not finish is taken back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "engine/undo.h"
#include "files/files.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "image/image-write.h"

struct link_remap {
	struct open_file *file;
	uint32_t id; /* of the link's own reg file entry */
	char *path;  /* of the link */
	bool is_made;
};

static bool is_overmounted(const struct open_file *file)
{
	return !link_is_deleted(file->link);
}

static bool is_link(int dirfd, const char *name, const struct stat *st)
{
	struct stat found;

	return fstatat(dirfd, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_dev == st->st_dev &&
	       found.st_ino == st->st_ino;
}

/* Another name of the inode in the directory of path: allocated, NULL when there is none. */
static char *find_link(const char *path, const struct stat *st)
{
	AUTO_FREE char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));
	AUTO_CLOSEDIR DIR *dir = directory ? opendir(*directory ? directory : "/") : NULL;
	const struct dirent *entry;
	char *link;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_ino != st->st_ino || !is_link(dirfd(dir), entry->d_name, st))
			continue;
		return asprintf(&link, "%s/%s", directory, entry->d_name) < 0 ? NULL : link;
	}
	return NULL;
}

static bool take_other_name(struct dump *d, struct open_file *file)
{
	const char *path = open_file_path(d, file);
	char *link = path && path[0] == '/' ? find_link(path, &file->st) : NULL;

	if (!link)
		return false;
	log_info("%s is saved under its other name, %s", file->link, link);
	free(file->link);
	file->link = link;
	file->name_state = FILE_NAME_GOOD;
	return true;
}

int link_remap_look(struct dump *d, struct open_file *file, struct error *err)
{
	struct file_registry *registry = d->files;

	if (is_overmounted(file)) {
		error_hint(err, "name it with --external file[%x:%llx] and give it at restore with --inherit-fd",
			   (unsigned int)file->mnt_id, (unsigned long long)file->st.st_ino);
		return open_file_refuse(file, err, "its path leads to another file or to none");
	}
	if (!S_ISDIR(file->st.st_mode) && take_other_name(d, file))
		return 0;
	if (!d->opts->link_remap) {
		error_hint(err, "--link-remap lets the dump make a link to it");
		return open_file_refuse(file, err, "the name was removed, but the file has other links");
	}
	if (S_ISDIR(file->st.st_mode))
		return open_file_refuse(file, err,
					"the name of this directory is gone, and directories cannot be linked");
	if (array_reserve(&registry->links, &registry->link_capacity, registry->link_count, sizeof(*registry->links)) <
	    0)
		return open_file_error(file, err, -ENOMEM, "look");
	registry->links[registry->link_count++] = (struct link_remap){ .file = file, .id = ++d->next_file_id };
	return 0;
}

/* The link that will be made changes the inode's ctime. */
bool link_remap_touches(const struct dump *d, const struct stat *st)
{
	for (size_t i = 0; i < d->files->link_count; i++) {
		const struct stat *linked = &d->files->links[i].file->st;

		if (linked->st_dev == st->st_dev && linked->st_ino == st->st_ino)
			return true;
	}
	return false;
}

/* Next to the old name, or in the nearest directory above that still exists: its path, ending in a slash. */
static char *link_directory(struct dump *d, const struct link_remap *link)
{
	char *directory = open_file_path(d, link->file), *slash;

	if (!directory)
		return NULL;
	do {
		slash = strrchr(directory, '/');
		if (!slash)
			return NULL;
		*slash = '\0';
	} while (slash != directory && access(directory, F_OK) < 0);
	*slash = '/';
	slash[1] = '\0';
	return directory;
}

static int link_under(struct dump *d, struct link_remap *link, const char *magic)
{
	struct stat st;

	if (lstat(link->path, &st) == 0)
		return -EEXIST;
	undo_note_file(d->undo, link->path);
	if (linkat(AT_FDCWD, magic, AT_FDCWD, link->path, AT_SYMLINK_FOLLOW) < 0) {
		int r = -errno;

		undo_forget_file(d->undo, link->path);
		return r;
	}
	link->is_made = true;
	return 0;
}

/* A name that is taken belongs to the set of another dump, which is still to be restored. */
static int make_link(struct dump *d, struct link_remap *link)
{
	AUTO_CLOSE int fd = open_file_reopen(d, link->file, O_PATH);
	const char *directory = link_directory(d, link);
	char magic[32];
	int r;

	if (fd < 0 || !directory)
		return fd < 0 ? fd : -ENOENT;
	(void)snprintf(magic, sizeof(magic), "/proc/self/fd/%d", fd);
	for (;;) {
		if (asprintf(&link->path, "%slink_remap.%u", directory, link->id) < 0) {
			link->path = NULL;
			return -ENOMEM;
		}
		r = link_under(d, link, magic);
		if (r != -EEXIST)
			return r;
		free(link->path);
		link->path = NULL;
		link->id = ++d->next_file_id;
	}
}

static int save_link(struct dump *d, struct link_remap *link, struct image_writer *remaps, struct error *err)
{
	RemapFilePathEntry remap = REMAP_FILE_PATH_ENTRY__INIT;
	FileEntry entry = FILE_ENTRY__INIT;
	int r = make_link(d, link);

	if (r < 0)
		return open_file_error(link->file, err, r, "make a link to it");
	r = regular_fill(d, link->file, link->id, &entry.reg, err);
	if (r < 0)
		return r;
	entry.id = link->id;
	entry.type = FD_TYPES__REG;
	entry.reg->name = link->path;
	r = image_writer_add(d->files->writer, &entry, err);
	remap.orig_id = link->file->path_id;
	remap.remap_id = link->id;
	remap.has_remap_type = true;
	remap.remap_type = REMAP_TYPE__LINKED;
	return r < 0 ? r : image_writer_add(remaps, &remap, err);
}

int link_remaps_save(struct dump *d, struct image_writer *remaps, struct error *err)
{
	for (size_t i = 0; i < d->files->link_count; i++) {
		int r = save_link(d, &d->files->links[i], remaps, err);

		if (r < 0)
			return r;
	}
	return 0;
}

void link_remaps_free(struct dump *d)
{
	bool finished = d->set && faccessat(d->set->dirfd, "inventory.img", F_OK, 0) == 0;

	for (size_t i = 0; i < d->files->link_count; i++) {
		struct link_remap *link = &d->files->links[i];

		if (link->is_made && !finished)
			(void)unlink(link->path);
		free(link->path);
	}
	free(d->files->links);
}

void files_remove_links(struct restore *r)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const struct restore_file *file = r->files[i], *link;

		if (!file->remap || file->remap->remap_type != REMAP_TYPE__LINKED)
			continue;
		link = restore_find_file(r, FD_TYPES__REG, file->remap->remap_id);
		if (link && unlink(link->entry->reg->name) < 0)
			log_warn("%s: not removed: %s", link->entry->reg->name, strerror(errno));
	}
}
