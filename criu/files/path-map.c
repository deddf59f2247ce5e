/*
 * --path-map: a set is restored where its files lie somewhere else. Every path of the images that is at or below OLD is
 * put at NEW right after the set was checked, so that nothing behind it sees another one: files and directories that
 * are open, mapped, executed or somebody's directory, fifos, terminals, device nodes, the names of ghosts and links,
 * and what is watched by inotify and fanotify. Names in the address space of a program, such as an argument, are its
 * own.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "files/restore-files.h"
#include "image/image-check.h"
#include "images/fsnotify.pb-c.h"

static char *join(const struct path_map *map, const char *path)
{
	const char *rest = path + (map->from[1] ? strlen(map->from) : 0);
	const char *to = map->to[1] || !*rest ? map->to : "";
	char *joined;

	if (rest[0] == '/' && !rest[1])
		rest = ""; /* the root itself */
	if (!*rest && !*to)
		to = "/";
	return asprintf(&joined, "%s%s", to, rest) < 0 ? NULL : joined;
}

/* *path, of an entry of a file, is replaced. */
static int map_path(struct restore *r, char **path, struct error *err)
{
	const struct path_map *map = options_find_path_map(r->opts, *path);
	AUTO_FREE char *joined = NULL;

	if (!map)
		return 0;
	joined = join(map, *path);
	if (!joined)
		return error_set(err, -ENOMEM, "map %s", *path);
	if (strlen(joined) >= PATH_MAX)
		return error_set(err, -ENAMETOOLONG, "--path-map %s=%s: %.200s...", map->from, map->to, joined);
	log_debug("%s is at %s", *path, joined);
	if (restore_replace_name(r, path, TAKE_PTR(joined)) < 0)
		return error_set(err, -ENOMEM, "map %s", *path);
	restore_files_of(r)->used_path_maps[map - r->opts->path_maps] = true;
	return 0;
}

static int map_file(struct restore *r, struct restore_file *file, RegFileEntry *entry, struct error *err)
{
	char *before;

	if (!options_find_path_map(r->opts, entry->name))
		return 0;
	before = arena_strdup(&restore_files_of(r)->arena, entry->name);
	if (!before)
		return error_set(err, -ENOMEM, "map %s", entry->name);
	file->dumped_name = before;
	return map_path(r, &entry->name, err);
}

static int map_watches(struct restore *r, const InotifyFileEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->n_wd; i++) {
		FhEntry *handle = entry->wd[i]->f_handle;
		int result = handle->path ? map_path(r, &handle->path, err) : 0;

		if (result < 0)
			return result;
	}
	return 0;
}

static int map_marks(struct restore *r, const FanotifyFileEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->n_mark; i++) {
		FanotifyInodeMarkEntry *inode = entry->mark[i]->ie;
		FanotifyMountMarkEntry *mount = entry->mark[i]->me;
		int result = 0;

		if (inode && inode->f_handle->path)
			result = map_path(r, &inode->f_handle->path, err);
		if (result == 0 && mount && mount->path)
			result = map_path(r, &mount->path, err);
		if (result < 0)
			return result;
	}
	return 0;
}

static int map_entry(struct restore *r, struct restore_file *file, FileEntry *entry, struct error *err)
{
	switch (entry->type) {
	case FD_TYPES__REG:
		return map_file(r, file, entry->reg, err);
	case FD_TYPES__INOTIFY:
		return map_watches(r, entry->ify, err);
	case FD_TYPES__FANOTIFY:
		return map_marks(r, entry->ffy, err);
	default:
		return 0;
	}
}

int path_map_apply(struct restore *r, struct error *err)
{
	struct restore_files *rf = restore_files_of(r);
	int result = 0;

	if (!r->opts->path_map_count)
		return 0;
	rf->used_path_maps = restore_alloc(r, r->opts->path_map_count * sizeof(*rf->used_path_maps));
	if (!rf->used_path_maps)
		return error_set(err, -ENOMEM, "path maps");
	for (size_t i = 0; i < r->file_count && result == 0; i++)
		result = map_entry(r, r->files[i], r->images->files[i].entry, err);
	for (size_t i = 0; i < r->opts->path_map_count && result == 0; i++)
		if (!rf->used_path_maps[i])
			log_warn("--path-map %s=%s: no path of the set is there\n", r->opts->path_maps[i].from,
				 r->opts->path_maps[i].to);
	return result;
}
