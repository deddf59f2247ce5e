#include "files/ghost-place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/undo.h"
#include "kernel/mount-view.h"

/* What is there under a name that has to be a directory is none: what follows is put beside it. */
static void skip_what_is_no_directory(struct ghost_place *place)
{
	char *slash = strchr(place->name, '/');
	struct stat st;
	bool is_there;

	if (!slash)
		return;
	*slash = '\0';
	is_there = fstatat(place->dirfd, place->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	*slash = '/';
	if (is_there) {
		const char *last = strrchr(place->name, '/') + 1;

		memmove(place->name, last, strlen(last) + 1);
	}
}

/* chattr(1): in one nothing can be made, and what is made in the other cannot be removed. */
static bool takes_names(int dirfd)
{
	struct statx sx;

	return statx(dirfd, "", AT_EMPTY_PATH, 0, &sx) < 0 ||
	       !(sx.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND));
}

static int find_directory(struct ghost_place *place)
{
	for (char *slash = strrchr(place->path, '/'); slash;
	     slash = memrchr(place->path, '/', (size_t)(slash - place->path))) {
		*slash = '\0';
		place->dirfd = open(slash == place->path ? "/" : place->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		*slash = '/';
		place->name = slash + 1;
		if (place->dirfd >= 0 && takes_names(place->dirfd))
			break;
		if (place->dirfd >= 0)
			close_fd(&place->dirfd);
		else if (errno != ENOENT && errno != ENOTDIR)
			return -errno;
	}
	if (place->dirfd < 0)
		return -ENOENT;
	skip_what_is_no_directory(place);
	return 0;
}

int ghost_place_find(struct ghost_place *place, const char *path)
{
	struct statvfs fs;
	int r;

	if (path[0] != '/' || strlen(path) >= sizeof(place->path))
		return -ENAMETOOLONG;
	(void)strcpy(place->path, path);
	r = find_directory(place);
	if (r < 0)
		return r;
	place->write_dirfd = place->dirfd;
	if (fstatvfs(place->dirfd, &fs) < 0)
		return -errno;
	if (!(fs.f_flag & ST_RDONLY))
		return 0;
	r = mount_view_writable(place->dirfd);
	if (r < 0)
		return -EROFS;
	place->write_dirfd = r;
	return 0;
}

int ghost_place_make_parents(struct ghost_place *place, struct undo *undo)
{
	place->undo = undo;
	for (char *slash = strchr(place->name, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r = place->parent_count == GHOST_PARENTS_MAX ? -ENAMETOOLONG : 0;

		if (r < 0)
			return r;
		*slash = '\0';
		undo_note_file(undo, place->path);
		r = mkdirat(place->write_dirfd, place->name, 0700) < 0 ? -errno : 0;
		if (r < 0)
			undo_forget_file(undo, place->path);
		*slash = '/';
		if (r < 0)
			return r;
		place->parents[place->parent_count++] = (size_t)(slash - place->path);
	}
	return 0;
}

int ghost_place_rename(struct ghost_place *place, unsigned int id)
{
	char *last = strrchr(place->path, '/') + 1, suffix[32];
	size_t bytes = (size_t)snprintf(suffix, sizeof(suffix), ".cr.%x.ghost", id), length = strlen(last);

	(void)strcpy(place->own_name, last);
	if (length + bytes > NAME_MAX)
		length = NAME_MAX - bytes;
	if ((size_t)(last - place->path) + length + bytes >= sizeof(place->path))
		return -ENAMETOOLONG;
	(void)strcpy(last + length, suffix);
	return 0;
}

static const char *own_name_of(const struct ghost_place *place)
{
	return place->own_name[0] ? place->own_name : strrchr(place->path, '/') + 1;
}

bool ghost_place_follow(struct ghost_place *place, const struct ghost_place *other)
{
	const char *name = strrchr(other->path, '/') + 1;
	struct stat here, there;

	if (strchr(place->name, '/') || strcmp(own_name_of(place), own_name_of(other)) != 0 ||
	    (size_t)(place->name - place->path) + strlen(name) >= sizeof(place->path) ||
	    fstatat(place->dirfd, name, &here, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(other->dirfd, other->name, &there, AT_SYMLINK_NOFOLLOW) < 0 || here.st_dev != there.st_dev ||
	    here.st_ino != there.st_ino)
		return false;
	(void)strcpy(place->name, name);
	return true;
}

int ghost_place_note(struct ghost_place *place)
{
	struct stat st;

	if (fstatat(place->dirfd, place->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	undo_note_file(place->undo, place->path);
	return 0;
}

void ghost_place_forget(struct ghost_place *place)
{
	undo_forget_file(place->undo, place->path);
}

/* "a/b.cr.1.ghost" to "a/b". */
static bool replace_name(const char *path, const char *own_name, char ret[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int length = slash ? (int)(slash + 1 - path) : 0;

	return snprintf(ret, PATH_MAX, "%.*s%s", length, path, own_name) < PATH_MAX;
}

/* Not if somebody has put something else there since. */
static void remove_own(const struct ghost_place *place, const char *own, const struct stat *st, int flags)
{
	struct stat now;

	if (fstatat(place->write_dirfd, own, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == st->st_dev &&
	    now.st_ino == st->st_ino)
		(void)unlinkat(place->write_dirfd, own, flags);
}

static bool remove_by_own_name(struct ghost_place *place, int flags)
{
	char own[PATH_MAX], path[PATH_MAX];
	struct stat st, there;
	bool is_renamed;

	if (!place->own_name[0] || !replace_name(place->name, place->own_name, own) ||
	    !replace_name(place->path, place->own_name, path) ||
	    fstatat(place->write_dirfd, place->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(place->write_dirfd, own, &there, AT_SYMLINK_NOFOLLOW) == 0)
		return false;
	undo_note_file(place->undo, path);
	is_renamed = renameat2(place->write_dirfd, place->name, place->write_dirfd, own, RENAME_NOREPLACE) == 0;
	if (is_renamed)
		remove_own(place, own, &st, flags);
	undo_forget_file(place->undo, path);
	return is_renamed;
}

void ghost_place_remove(struct ghost_place *place, bool is_directory)
{
	int flags = is_directory ? AT_REMOVEDIR : 0;

	if (!remove_by_own_name(place, flags))
		(void)unlinkat(place->write_dirfd, place->name, flags);
}

static void remove_parents(struct ghost_place *place)
{
	while (place->parent_count) {
		place->path[place->parents[--place->parent_count]] = '\0';
		(void)unlinkat(place->write_dirfd, place->name, AT_REMOVEDIR);
		undo_forget_file(place->undo, place->path);
	}
}

void ghost_place_done(struct ghost_place *place)
{
	remove_parents(place);
	if (place->write_dirfd != place->dirfd)
		close_fd(&place->write_dirfd);
	close_fd(&place->dirfd);
	place->write_dirfd = -1;
}
