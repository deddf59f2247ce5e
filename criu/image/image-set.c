/*
 * Image directories. The inventory is what makes a directory of image files a set: a writer puts it in place last, by
 * rename, and a reader refuses a directory that has none.
 */
#include "image/image-set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-read.h"
#include "image/image-write.h"

#define INVENTORY_NAME      "inventory.img"
#define INVENTORY_TEMPORARY "inventory.img.new"
#define INVENTORY_USED_UP   "inventory.img.used"
#define PARENT_LINK         "parent"

static const char *set_path(const struct image_set *set)
{
	return set->path ? set->path : "the image directory";
}

static int open_directory(struct image_set *set, int at, const char *path, struct error *err)
{
	AUTO_CLOSE int fd = openat(at, path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(err, -errno, "cannot open the image directory%s%s", path ? " " : "", path ? path : "");
	if (path) {
		set->path = strdup(path);
		if (!set->path)
			return error_set(err, -ENOMEM, "open the image directory %s", path);
	}
	set->dirfd = take_fd(&fd);
	return 0;
}

static int refuse_finished(struct image_set *set, struct error *err)
{
	struct stat st;
	int r;

	if (fstatat(set->dirfd, INVENTORY_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_set(err, -errno, "look for %s in %s", INVENTORY_NAME, set_path(set));
	if (set->replace) {
		if (unlinkat(set->dirfd, INVENTORY_NAME, 0) < 0 && errno != ENOENT)
			return error_set(err, -errno, "remove the old %s in %s", INVENTORY_NAME, set_path(set));
		return 0;
	}
	r = error_say(err, -EEXIST, "%s holds a finished image set already", set_path(set));
	error_hint(err, "choose another directory, or remove this set if it is no longer needed");
	return r;
}

/* cpuinfo.img is written by a command of its own, pages are found by their page maps only, those by the tasks. */
static bool could_mislead(const char *name)
{
	enum image_kind kind;
	uint64_t id;

	return image_parse_name(name, &kind, &id) == 0 && image_type(kind)->framing == IMAGE_FRAMING_COMMON &&
	       kind != IMAGE_CPUINFO && kind != IMAGE_PAGEMAP && kind != IMAGE_PAGEMAP_SHMEM;
}

/* A list without records has no file, so that one which was lost looks like it. What every process has is missed. */
static bool could_be_empty(enum image_kind kind)
{
	return image_type(kind)->framing == IMAGE_FRAMING_COMMON && kind != IMAGE_CPUINFO && kind != IMAGE_PSTREE &&
	       kind != IMAGE_CORE && kind != IMAGE_IDS && kind != IMAGE_MM && kind != IMAGE_FS && kind != IMAGE_PAGEMAP;
}

static int add_stale(struct image_set *set, const char *name)
{
	char *copy;

	if (array_reserve(&set->stale, &set->stale_capacity, set->stale_count, sizeof(*set->stale)) < 0)
		return -ENOMEM;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	set->stale[set->stale_count++] = copy;
	return 0;
}

DIR *image_set_list(const struct image_set *set)
{
	AUTO_CLOSE int fd = openat(set->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir)
		(void)take_fd(&fd);
	return dir;
}

static int find_stale(struct image_set *set, struct error *err)
{
	AUTO_CLOSEDIR DIR *dir = image_set_list(set);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return error_set(err, -errno, "look into %s", set_path(set));
	while (r == 0 && (entry = readdir(dir)))
		if (could_mislead(entry->d_name))
			r = add_stale(set, entry->d_name);
	return r < 0 ? error_set(err, r, "look into %s", set_path(set)) : 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void remove_stale(struct image_set *set)
{
	if (set->stale_count)
		qsort(set->names, set->name_count, sizeof(*set->names), compare_names);
	for (size_t i = 0; i < set->stale_count; i++)
		if (!bsearch(&set->stale[i], set->names, set->name_count, sizeof(*set->names), compare_names))
			(void)unlinkat(set->dirfd, set->stale[i], 0);
}

/* Asked before anything is stopped for a set that cannot be written. */
static int refuse_unwritable(const struct image_set *set, struct error *err)
{
	struct stat st;

	if (faccessat(set->dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return error_set(err, -errno, "%s is not writable", set_path(set));
	if (fstat(set->dirfd, &st) == 0 && st.st_nlink == 0)
		return error_say(err, -ENOENT, "%s has been removed", set_path(set));
	return 0;
}

int image_set_create(struct image_set *set, int at, const char *path, unsigned int flags, struct error *err)
{
	int r = open_directory(set, at, path, err);

	if (r < 0)
		return r;
	set->writing = true;
	set->replace = flags & IMAGE_SET_REPLACE;
	r = refuse_unwritable(set, err);
	if (r == 0)
		r = refuse_finished(set, err);
	return r < 0 ? r : find_stale(set, err);
}

static int remember(struct image_set *set, enum image_kind kind, const char *name)
{
	char *copy;

	if (array_reserve(&set->names, &set->name_capacity, set->name_count, sizeof(*set->names)) < 0 ||
	    array_reserve(&set->lists, &set->list_capacity, set->list_count, sizeof(*set->lists)) < 0)
		return -ENOMEM;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	set->names[set->name_count++] = copy;
	if (could_be_empty(kind))
		set->lists[set->list_count++] = copy;
	return 0;
}

int image_set_announce(struct image_set *set, enum image_kind kind, const char *name)
{
	int r;

	if (!set->writing)
		return 0;
	pthread_mutex_lock(&set->lock);
	r = remember(set, kind, name);
	if (r == 0 && set->created)
		set->created(set->created_ctx, name);
	pthread_mutex_unlock(&set->lock);
	return r;
}

static void forget_names(struct image_set *set)
{
	for (size_t i = 0; i < set->name_count; i++)
		free(set->names[i]);
	free(set->names);
	free(set->lists);
	set->names = set->lists = NULL;
	set->name_count = set->name_capacity = set->list_count = set->list_capacity = 0;
}

static void forget_stale(struct image_set *set)
{
	for (size_t i = 0; i < set->stale_count; i++)
		free(set->stale[i]);
	free(set->stale);
	set->stale = NULL;
	set->stale_count = set->stale_capacity = 0;
}

uint32_t image_set_next_pages_id(struct image_set *set)
{
	return __atomic_add_fetch(&set->last_pages_id, 1, __ATOMIC_RELAXED);
}

/* Some file systems know no flags of rename; there the check of image_set_create() has to do. */
static int rename_inventory(struct image_set *set)
{
	if (renameat2(set->dirfd, INVENTORY_TEMPORARY, set->dirfd, INVENTORY_NAME, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	return renameat(set->dirfd, INVENTORY_TEMPORARY, set->dirfd, INVENTORY_NAME) < 0 ? -errno : 0;
}

int image_set_commit(struct image_set *set, const InventoryEntry *inventory, struct error *err)
{
	struct image_writer w = IMAGE_WRITER_INIT;
	InventoryEntry complete = *inventory;
	int r;

	complete.images = set->lists;
	complete.n_images = set->list_count;
	image_writer_open(&w, set, IMAGE_INVENTORY, 0);
	(void)snprintf(w.name, sizeof(w.name), "%s", INVENTORY_TEMPORARY);
	r = image_writer_add(&w, &complete, err);
	if (r == 0)
		r = image_writer_finish(&w, err);
	image_writer_done(&w);
	if (r < 0)
		return r;
	remove_stale(set);
	r = rename_inventory(set);
	if (r == -EEXIST)
		return error_say(err, r, "another image set has been finished in %s meanwhile", set_path(set));
	if (r < 0)
		return error_set(err, r, "%s: cannot put %s in place", set_path(set), INVENTORY_NAME);
	set->writing = false;
	forget_names(set);
	return 0;
}

int image_set_open_plain(struct image_set *set, int at, const char *path, struct error *err)
{
	return open_directory(set, at, path, err);
}

static void sort_images(InventoryEntry *inventory)
{
	if (inventory->n_images)
		qsort(inventory->images, inventory->n_images, sizeof(*inventory->images), compare_names);
}

/* Old versions had many more, for each of which is asked in vain. */
bool image_set_had(const struct image_set *set, const char *name)
{
	const InventoryEntry *inventory = set->inventory;

	return inventory && inventory->n_images &&
	       bsearch(&name, inventory->images, inventory->n_images, sizeof(*inventory->images), compare_names);
}

int image_set_open(struct image_set *set, int at, const char *path, struct error *err)
{
	int r = open_directory(set, at, path, err);

	if (r < 0)
		return r;
	r = image_read_one(set, IMAGE_INVENTORY, 0, &inventory_entry__descriptor, &set->inventory, err);
	if (r == -ENOENT && !error_is_set(err) && faccessat(set->dirfd, INVENTORY_USED_UP, F_OK, 0) == 0)
		return error_say(err, r, "the image set in %s was used up by a restore with --auto-dedup",
				 set_path(set));
	if (r == -ENOENT && !error_is_set(err))
		return error_say(err, r, "the image set in %s is unfinished or not an image set: no %s", set_path(set),
				 INVENTORY_NAME);
	if (r == 0)
		sort_images(set->inventory);
	return r;
}

int image_set_use_up(struct image_set *set)
{
	for (; set; set = set->parent)
		if (renameat(set->dirfd, INVENTORY_NAME, set->dirfd, INVENTORY_USED_UP) < 0 && errno != ENOENT)
			return -errno;
	return 0;
}

/* The links may lead in a circle: a parent must be none of the sets it was reached from. */
static bool is_in_chain(const struct image_set *set, const struct stat *parent)
{
	struct stat st;

	for (; set; set = set->child) {
		if (fstat(set->dirfd, &st) == 0 && st.st_dev == parent->st_dev && st.st_ino == parent->st_ino)
			return true;
	}
	return false;
}

static int open_parent(struct image_set *set, struct error *err)
{
	AUTO_CLOSE int fd = openat(set->dirfd, PARENT_LINK, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct image_set *parent;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return error_say(err, -ENOENT, "%s: the link `parent` leads nowhere", set_path(set));
	if (fd < 0)
		return error_set(err, -errno, "%s: cannot open the parent image set", set_path(set));
	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "%s: cannot look at the parent image set", set_path(set));
	if (faccessat(fd, INVENTORY_USED_UP, F_OK, 0) == 0 && faccessat(fd, INVENTORY_NAME, F_OK, 0) < 0)
		return error_say(err, -ENOENT,
				 "%s: the parent image set was used up by a restore with --auto-dedup, of it or of "
				 "another set that builds on it",
				 set_path(set));
	if (is_in_chain(set, &st))
		return error_say(err, -ELOOP, "%s: the links `parent` go in a circle", set_path(set));
	parent = calloc(1, sizeof(*parent));
	if (!parent)
		return error_set(err, -ENOMEM, "open the parent image set");
	pthread_mutex_init(&parent->lock, NULL);
	parent->dirfd = take_fd(&fd);
	parent->child = set;
	if (asprintf(&parent->path, "%s/%s", set_path(set), PARENT_LINK) < 0)
		parent->path = NULL;
	set->parent = parent;
	return 0;
}

int image_set_parent(struct image_set *set, struct image_set **ret_parent, struct error *err)
{
	struct stat st;
	int r;

	if (!set->parent_known) {
		if (fstatat(set->dirfd, PARENT_LINK, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			r = open_parent(set, err);
			if (r < 0)
				return r;
		} else if (errno != ENOENT) {
			return error_set(err, -errno, "%s: cannot look for a parent image set", set_path(set));
		}
		set->parent_known = true;
	}
	if (!set->parent)
		return -ENOENT;
	*ret_parent = set->parent;
	return 0;
}

/* A loop, not a recursion: chains may be long. */
static void free_parents(struct image_set *parent)
{
	while (parent) {
		struct image_set *next = parent->parent;

		parent->parent = NULL;
		image_set_done(parent);
		free(parent);
		parent = next;
	}
}

void image_set_done(struct image_set *set)
{
	free_parents(set->parent);
	set->parent = NULL;
	set->parent_known = false;
	close_fd(&set->dirfd);
	free(set->path);
	set->path = NULL;
	if (set->inventory)
		inventory_entry__free_unpacked(set->inventory, NULL);
	set->inventory = NULL;
	forget_names(set);
	forget_stale(set);
	pthread_mutex_destroy(&set->lock);
}
