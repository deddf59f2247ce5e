/*
 * An image set: a directory of image files. A set being written is unfinished until image_set_commit() has put its
 * inventory.img in place; a set that is read has one. A struct image_set must not be moved once it is open.
 *
 *	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
 *
 *	r = image_set_open(&set, AT_FDCWD, "/var/lib/images", err);
 */
#pragma once

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image-types.h"
#include "images/inventory.pb-c.h"

struct image_set {
	int dirfd;
	char *path;                /* for sentences; may be set (malloc()ed) where only a descriptor is known */
	InventoryEntry *inventory; /* of a set opened by image_set_open() */

	/*
	 * Called with the name of each file below the directory before it is created, so that an undo log can take it
	 * back whenever the writer dies. Set it after image_set_create().
	 */
	void (*created)(void *ctx, const char *name);
	void *created_ctx;

	/* private */
	bool writing;
	bool replace;
	char **names;
	size_t name_count;
	size_t name_capacity;
	char **lists; /* those of names whose images are missing where there is nothing to tell */
	size_t list_count;
	size_t list_capacity;
	char **stale; /* images that were there before */
	size_t stale_count;
	size_t stale_capacity;
	uint32_t last_pages_id;
	struct image_set *parent;
	struct image_set *child; /* the set this one is the parent of */
	bool parent_known;
	pthread_mutex_t lock; /* files may be created by several threads */
};

#define IMAGE_SET_INIT                                                                                                 \
	{                                                                                                              \
		.dirfd = -1, .lock = PTHREAD_MUTEX_INITIALIZER                                                         \
	}

enum image_set_flags {
	IMAGE_SET_REPLACE = 1, /* a finished set in the directory is no reason to refuse: it stops being one */
};

/*
 * Opens a directory to write a set into: path relative to the directory at, or at itself when path is NULL (it is
 * duplicated). -EEXIST when the directory holds a finished set; what an unfinished one has left behind is overwritten,
 * or removed when this set has no such file: a reader would take it for a part of this one.
 */
int image_set_create(struct image_set *set, int at, const char *path, unsigned int flags, struct error *err);

/*
 * Writes inventory.img under a temporary name and renames it: the set is finished, or it is not. It names the images
 * that would not be missed if they were lost.
 */
int image_set_commit(struct image_set *set, const InventoryEntry *inventory, struct error *err);

/* The next number for a pages file of this set, from 1. */
uint32_t image_set_next_pages_id(struct image_set *set);

/* Opens a finished set and reads its inventory. at and path as above. */
int image_set_open(struct image_set *set, int at, const char *path, struct error *err);

/*
 * Before contents of the set and of those it builds on are given up: none of them is a set from here on. Those that are
 * none already are passed over.
 */
int image_set_use_up(struct image_set *set);

/* Opens any directory that may hold image files, such as a work directory. Files can be read and written. */
int image_set_open_plain(struct image_set *set, int at, const char *path, struct error *err);

/*
 * The set this one's `parent` link leads to: opened once, owned by the set. It need not have an inventory. -ENOENT
 * (no sentence) when there is no link; a link that leads nowhere, or in a circle, is an error with one.
 */
int image_set_parent(struct image_set *set, struct image_set **ret_parent, struct error *err);

/* For writers of this folder: announces and remembers a file about to be created: 0 or -ENOMEM. */
int image_set_announce(struct image_set *set, enum image_kind kind, const char *name);

/* For readers of this folder: an image that is not there was there when the set was finished. */
bool image_set_had(const struct image_set *set, const char *name);

/* Closes and frees; removes nothing. */
void image_set_done(struct image_set *set);

/* The names in its directory, for readdir(3); the caller closes it. NULL: see errno. */
DIR *image_set_list(const struct image_set *set);

#define AUTO_IMAGE_SET __attribute__((cleanup(image_set_done)))
