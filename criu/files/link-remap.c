/*
 * Files whose name was taken away or taken over while the inode has other links somewhere. The content is not ours to
 * copy: other links would no longer be the same file. A link in the directory of the old name is found and taken
 * instead: renaming a file over another and keeping a backup both leave it there. Else, with --link-remap, the dump
 * makes a link of its own to the inode, link_remap.ID in that directory, which the restore opens and removes when all
 * is done; without it such a file is refused.
 *
 * A link made by a dump that did not finish is taken back. A dump after which the program runs on makes none, for the
 * link would be there until the set is restored, which may be never: it notes the handle of the inode, and the restore
 * makes the link. Where a filesystem has no handles the link has to be made and to stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
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
#include "kernel/bpf-files.h"
#include "kernel/features.h"
#include "kernel/linkless-path.h"

struct link_remap {
	struct open_file *file;
	uint32_t id; /* of the link's own reg file entry */
	char *path;  /* of the link */
	bool is_made;
	FhEntry *handle; /* NULL: the link is there */
};

#define HANDLE_WORDS 16
#define HANDLE_BYTES (HANDLE_WORDS * sizeof(uint64_t))

/* What the kernel's struct file_handle needs for any filesystem. */
union handle_room {
	struct file_handle head;
	char room[sizeof(struct file_handle) + HANDLE_BYTES];
};

static bool is_overmounted(const struct open_file *file)
{
	return !link_is_deleted(file->link);
}

/* Another name of the inode in the directory of path: allocated, NULL when there is none. */
static char *find_link(struct dump *d, const char *path, const struct stat *st)
{
	AUTO_FREE char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));
	const char *name = directory ? directory_names_find(&d->files->names, *directory ? directory : "/", st) : NULL;
	char *link;

	return !name || asprintf(&link, "%s/%s", directory, name) < 0 ? NULL : link;
}

static bool take_other_name(struct dump *d, struct open_file *file)
{
	const char *path = open_file_path(d, file);
	char *link = path && path[0] == '/' ? find_link(d, path, &file->st) : NULL;

	if (!link)
		return false;
	log_info("%s is saved under its other name, %s", file->link, link);
	free(file->link);
	file->link = link;
	file->name_state = FILE_NAME_GOOD;
	return true;
}

static int files_program(struct file_registry *registry)
{
	if (registry->files_program == 0) {
		int fd = feature_is_masked("bpf_files") ? -EOPNOTSUPP : bpf_files_open();

		registry->files_program = fd < 0 ? fd : fd + 1;
	}
	return registry->files_program < 0 ? registry->files_program : registry->files_program - 1;
}

/* Of the inode itself, by the list of our own files. */
static int count_links(struct file_registry *registry, int fd, uint64_t *ret)
{
	AUTO_FREE struct bpf_file *files = NULL;
	size_t count;
	int r = files_program(registry);

	if (r >= 0)
		r = bpf_files_list(r, getpid(), &files, &count);

	for (size_t i = 0; r == 0 && i < count; i++)
		if (files[i].fd == (uint64_t)fd) {
			*ret = files[i].links;
			return 0;
		}
	return r < 0 ? r : -ENOENT;
}

bool link_remap_is_unlinked(struct dump *d, struct open_file *file)
{
	AUTO_CLOSE int fd = -1;
	struct statfs fs;
	uint64_t links;
	int r;

	if (!file->link || !link_is_deleted(file->link))
		return false;
	fd = open_file_reopen(d, file, O_PATH);
	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != OVERLAYFS_SUPER_MAGIC)
		return false;
	r = count_links(d->files, fd, &links);
	if (r < 0)
		log_debug("%s: the links of overlayfs itself cannot be read: %s", file->link, strerror(-r));
	return r == 0 && links == 0;
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

/*
 * Next to the old name, or in the nearest directory above that still exists: a descriptor, and its path, ending in a
 * slash. What now leads elsewhere under the name of a directory is none: the link would be made where its owner wants.
 */
static int find_directory(struct dump *d, const struct link_remap *link, char **ret_path)
{
	char *path = open_file_path(d, link->file), *slash = path ? strrchr(path, '/') : NULL;
	int fd = -ENOENT;

	for (; slash; slash = memrchr(path, '/', (size_t)(slash - path))) {
		slash[1] = '\0';
		fd = linkless_path_open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
			break;
	}
	*ret_path = path;
	return path ? fd : -ENOMEM;
}

/* -EOPNOTSUPP when the filesystem has none. */
static int read_handle(struct dump *d, int fd, FhEntry **ret)
{
	union handle_room room = { .head.handle_bytes = HANDLE_BYTES };
	FhEntry *entry = files_scratch(d, sizeof(*entry));
	int mount_id;

	if (!entry)
		return -ENOMEM;
	if (name_to_handle_at(fd, "", &room.head, &mount_id, AT_EMPTY_PATH) < 0)
		return -errno;
	fh_entry__init(entry);
	entry->handle = files_scratch(d, HANDLE_BYTES);
	if (!entry->handle)
		return -ENOMEM;
	entry->bytes = room.head.handle_bytes;
	entry->type = (uint32_t)room.head.handle_type;
	entry->n_handle = HANDLE_WORDS;
	memset(entry->handle, 0, HANDLE_BYTES);
	memcpy(entry->handle, room.head.f_handle, entry->bytes);
	*ret = entry;
	return 0;
}

static int link_under(struct dump *d, struct link_remap *link, int dirfd, const char *magic)
{
	const char *name = strrchr(link->path, '/') + 1;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (link->handle)
		return 0;
	undo_note_file(d->undo, link->path);
	if (linkat(AT_FDCWD, magic, dirfd, name, AT_SYMLINK_FOLLOW) < 0) {
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
	char *directory, magic[32];
	AUTO_CLOSE int dirfd = find_directory(d, link, &directory);
	int r;

	if (fd < 0 || dirfd < 0)
		return fd < 0 ? fd : dirfd;
	if (!leaves_tasks_dead(d->opts) && read_handle(d, fd, &link->handle) < 0)
		log_warn(
		    "%s: the filesystem has no file handles, so that the link to it stays until the set is restored",
		    link->file->link);
	(void)snprintf(magic, sizeof(magic), "/proc/self/fd/%d", fd);
	for (;;) {
		if (asprintf(&link->path, "%slink_remap.%u", directory, link->id) < 0) {
			link->path = NULL;
			return -ENOMEM;
		}
		r = link_under(d, link, dirfd, magic);
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
	remap.handle = link->handle;
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
	if (d->files->files_program > 0)
		(void)close(d->files->files_program - 1);
	bool finished = d->set && faccessat(d->set->dirfd, "inventory.img", F_OK, 0) == 0;

	for (size_t i = 0; i < d->files->link_count; i++) {
		struct link_remap *link = &d->files->links[i];

		if (link->is_made && !finished)
			(void)unlink(link->path);
		free(link->path);
	}
	free(d->files->links);
	directory_names_done(&d->files->names);
}

/* --- restore -------------------------------------------------------------------------------------------------- */

/* A link that the restore has to make. */
struct restore_link {
	struct restore_link *next;
	uint32_t id; /* of its reg file entry */
	const FhEntry *handle;
	const char *path;
};

static const struct restore_link *find_absent(const struct restore *r, uint32_t id)
{
	const struct restore_link *link = restore_files_of(r)->absent_links;

	while (link && link->id != id)
		link = link->next;
	return link;
}

/* The handle is of the filesystem that the link's directory is on. */
static int open_handle(const char *path, const FhEntry *handle)
{
	AUTO_FREE char *directory = strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
	AUTO_CLOSE int dirfd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	union handle_room room = { .head.handle_bytes = handle->bytes };
	int fd;

	if (dirfd < 0)
		return directory ? -errno : -ENOMEM;
	room.head.handle_type = (int)handle->type;
	memcpy(room.head.f_handle, handle->handle, handle->bytes);
	fd = open_by_handle_at(dirfd, &room.head, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_taken(const struct restore *r, const char *path)
{
	struct stat st;

	for (const struct restore_link *link = restore_files_of(r)->absent_links; link; link = link->next)
		if (!strcmp(link->path, path))
			return true;
	return lstat(path, &st) == 0;
}

/* The name in the set may have been taken by another set since. */
static int choose_name(const struct restore *r, const RegFileEntry *entry, char **ret_path)
{
	const int directory = (int)(strrchr(entry->name, '/') - entry->name);

	for (uint32_t number = entry->id;; number++) {
		if (asprintf(ret_path, "%.*s/link_remap.%u", directory, entry->name, number) < 0)
			return -ENOMEM;
		if (!is_taken(r, *ret_path))
			return 0;
		free(*ret_path);
	}
}

static int add_absent(struct restore *r, RegFileEntry *entry, const FhEntry *handle)
{
	struct restore_link *link = restore_alloc(r, sizeof(*link));
	char *path;
	int result = link ? choose_name(r, entry, &path) : -ENOMEM;

	if (result < 0)
		return result;
	result = restore_replace_name(r, &entry->name, path);
	if (result < 0)
		return result;
	*link = (struct restore_link){ restore_files_of(r)->absent_links, entry->id, handle, entry->name };
	restore_files_of(r)->absent_links = link;
	return 0;
}

int link_remap_find(struct restore *r, const RemapFilePathEntry *remap, RegFileEntry *entry, int *ret_fd)
{
	int result = find_absent(r, entry->id) ? 0 : add_absent(r, entry, remap->handle);

	if (result == 0)
		result = open_handle(entry->name, remap->handle);
	if (result < 0)
		return result;
	*ret_fd = result;
	return 0;
}

bool link_remap_is_absent(const struct restore *r, uint32_t id)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const RemapFilePathEntry *remap = r->files[i]->remap;

		if (remap && remap->handle && remap->remap_type == REMAP_TYPE__LINKED && remap->remap_id == id)
			return true;
	}
	return false;
}

static int make_absent(struct restore *r, const struct restore_link *link)
{
	AUTO_CLOSE int fd = open_handle(link->path, link->handle);
	char magic[32];

	if (fd < 0)
		return fd;
	(void)snprintf(magic, sizeof(magic), "/proc/self/fd/%d", fd);
	undo_note_file(r->undo, link->path);
	if (linkat(AT_FDCWD, magic, AT_FDCWD, link->path, AT_SYMLINK_FOLLOW) < 0) {
		int result = -errno;

		undo_forget_file(r->undo, link->path);
		return result;
	}
	return 0;
}

int link_remaps_make(struct restore *r, struct error *err)
{
	for (const struct restore_link *link = restore_files_of(r)->absent_links; link; link = link->next) {
		int result = make_absent(r, link);

		if (result < 0)
			return error_set(err, result, "make the link %s", link->path);
	}
	return 0;
}

void files_remove_own_links(struct restore *r)
{
	for (const struct restore_link *link = restore_files_of(r)->absent_links; link; link = link->next)
		if (unlink(link->path) < 0)
			log_warn("%s: not removed: %s", link->path, strerror(errno));
}

void files_remove_links(struct restore *r)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const struct restore_file *file = r->files[i], *link;

		if (!file->remap || file->remap->remap_type != REMAP_TYPE__LINKED || file->remap->handle)
			continue;
		link = restore_find_file(r, FD_TYPES__REG, file->remap->remap_id);
		if (link && unlink(link->entry->reg->name) < 0)
			log_warn("%s: not removed: %s", link->entry->reg->name, strerror(errno));
	}
}
