/*
 * Making an inode that has no name: under the first of the names it had, with links under the others, by way of each of
 * which it is opened, for that name is what /proc shows then; or by O_TMPFILE, if it was made so. The names are noted
 * in the undo log before they are made, and taken away at once.
 */
#include "files/ghost-make.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "files/ghost-place.h"

static int make_node(int dirfd, const char *name, const GhostFileEntry *entry)
{
	mode_t type = entry->mode & S_IFMT;
	int fd;

	switch (type) {
	case S_IFREG:
		fd = openat(dirfd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		(void)close(fd);
		return 0;
	case S_IFDIR:
		return mkdirat(dirfd, name, 0700) < 0 ? -errno : 0;
	case S_IFLNK:
		return symlinkat(entry->symlnk_target, dirfd, name) < 0 ? -errno : 0;
	default:
		return mknodat(dirfd, name, type | 0600, entry->rdev) < 0 ? -errno : 0;
	}
}

static int make_named(struct ghost_place *place, const GhostFileEntry *entry)
{
	int r = ghost_place_note(place);

	if (r < 0)
		return r;
	r = make_node(place->write_dirfd, place->name, entry);
	if (r < 0)
		ghost_place_forget(place);
	return r;
}

/* The last name first: the undo log forgets in this order. */
static void take_names_away(struct ghost_names *names)
{
	while (names->count) {
		struct ghost_place *place = &names->places[--names->count];

		ghost_place_remove(place, names->is_directory);
		ghost_place_forget(place);
		ghost_place_done(place);
	}
}

void ghost_names_done(struct ghost_names *names)
{
	take_names_away(names);
	close_fd(&names->write_fd);
	free(names->places);
	names->places = NULL;
}

/* A directory gets its own name, so that a program that asks for its directory gets the answer it knows. */
static int make_first(struct ghost_place *place, const GhostFileEntry *entry, uint32_t id)
{
	int r = S_ISDIR(entry->mode) ? make_named(place, entry) : -EEXIST;

	if (r != -EEXIST)
		return r;
	r = ghost_place_rename(place, id);
	return r < 0 ? r : make_named(place, entry);
}

/* Mounts keep links apart even where they show the same filesystem: the handle leads to the inode in the other one. */
static int link_across_mounts(const struct ghost_place *place, const struct ghost_place *first)
{
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	AUTO_CLOSE int dirfd = openat(place->write_dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int fd = -1;
	int mount_id;

	if (dirfd < 0 || name_to_handle_at(first->write_dirfd, first->name, &handle.head, &mount_id, 0) < 0)
		return -errno;
	fd = open_by_handle_at(dirfd, &handle.head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return linkat(fd, "", place->write_dirfd, place->name, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int make_link(struct ghost_place *place, const struct ghost_place *first, uint32_t id)
{
	int r = ghost_place_rename(place, id);

	if (r == 0)
		r = ghost_place_note(place);
	if (r < 0)
		return r;
	r = linkat(first->write_dirfd, first->name, place->write_dirfd, place->name, 0) < 0 ? -errno : 0;
	if (r == -EXDEV)
		r = link_across_mounts(place, first);
	if (r < 0)
		ghost_place_forget(place);
	return r;
}

static int open_name(const struct ghost_place *place, struct restore_ghost *ghost)
{
	ghost->fd = openat(place->dirfd, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (ghost->fd < 0)
		return -errno;
	for (struct restore_ghost_user *user = ghost->held; user; user = user->next) {
		uint32_t flags = restore_open_flags(user->file->entry->reg->flags);

		user->fd = openat(place->dirfd, place->name, (int)(flags | O_CLOEXEC));
		if (user->fd < 0)
			return -errno;
	}
	return 0;
}

/* The same directory through another mount shows a name that was given already. */
static bool is_view(const struct ghost_names *names, struct ghost_place *place)
{
	for (size_t i = 0; i < names->count; i++)
		if (ghost_place_follow(place, &names->places[i]))
			return true;
	return false;
}

static int add_name(struct restore *r, struct ghost_names *names, struct restore_ghost *ghost,
		    const GhostFileEntry *entry)
{
	struct ghost_place *place = &names->places[names->count];
	int result;

	*place = (struct ghost_place)GHOST_PLACE_INIT;
	result = ghost_place_find(place, ghost->path);
	if (result == 0 && is_view(names, place)) {
		result = open_name(place, ghost);
		ghost_place_done(place);
		return result;
	}
	if (result == 0 && names->count && names->is_directory)
		result = -EPERM;
	if (result == 0)
		result = ghost_place_make_parents(place, r->undo);
	if (result == 0)
		result =
		    names->count ? make_link(place, names->places, ghost->id) : make_first(place, entry, ghost->id);
	if (result < 0) {
		ghost_place_done(place);
		return result;
	}
	names->count++;
	return open_name(place, ghost);
}

/* What is open with O_TMPFILE was opened so; it need not be open any more that it can be given a name. */
static bool is_made_temporary(const struct restore_ghost *ghost, const GhostFileEntry *entry)
{
	return S_ISREG(entry->mode) && (ghost->temporary || (entry->has_linkable && entry->linkable));
}

/* What O_TMPFILE makes can be given a name unless O_EXCL forbids it; nothing else without one can. */
static int make_temporary(struct restore *r, struct restore_ghost *ghost, const GhostFileEntry *entry,
			  struct ghost_names *names)
{
	AUTO_GHOST_PLACE struct ghost_place place = GHOST_PLACE_INIT;
	uint32_t flags = ghost->temporary ? restore_open_flags(ghost->temporary->entry->reg->flags) : O_RDWR;
	uint32_t exclusive = entry->has_linkable && !entry->linkable ? O_EXCL : 0;
	char directory[PATH_MAX];
	const char *slash;
	int result = ghost_place_find(&place, ghost->path);

	if (result == 0)
		result = ghost_place_make_parents(&place, r->undo);
	if (result < 0)
		return result;
	slash = strrchr(place.name, '/');
	(void)snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - place.name) : 1,
		       slash ? place.name : ".");
	ghost->fd = openat(place.dirfd, directory, (int)(flags | exclusive | O_TMPFILE | O_CLOEXEC), 0600);
	if (ghost->fd < 0)
		return -errno;
	names->write_fd = fcntl(ghost->fd, F_DUPFD_CLOEXEC, 0);
	return names->write_fd < 0 ? -errno : 0;
}

static int make_under_names(struct restore *r, struct restore_ghost *ghost, const GhostFileEntry *entry,
			    struct ghost_names *names)
{
	size_t count = 0;
	int result;

	for (const struct restore_ghost *name = ghost; name; name = name->next_name)
		count++;
	names->places = calloc(count, sizeof(*names->places));
	if (!names->places)
		return -ENOMEM;
	names->is_directory = S_ISDIR(entry->mode);
	result = add_name(r, names, ghost, entry);
	if (result < 0)
		return result;
	names->write_fd = openat(names->places->write_dirfd, names->places->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (names->write_fd < 0)
		return -errno;
	for (struct restore_ghost *name = ghost->next_name; name; name = name->next_name) {
		result = add_name(r, names, name, entry);
		if (result < 0 && name->fd < 0)
			log_info("%s: cannot be linked: %s", name->path, strerror(-result));
		else if (result < 0)
			return result;
	}
	take_names_away(names);
	return 0;
}

int ghost_make_inode(struct restore *r, struct restore_ghost *ghost, const GhostFileEntry *entry,
		     struct ghost_names *names)
{
	return is_made_temporary(ghost, entry) ? make_temporary(r, ghost, entry, names)
					       : make_under_names(r, ghost, entry, names);
}
