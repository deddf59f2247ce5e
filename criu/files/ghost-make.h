/* An inode without a name is made again; what it is made of comes later (ghost-content.h). Only for ghost.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/restore.h"
#include "files/restore-files.h"
#include "images/ghost-file.pb-c.h"

struct ghost_place;

/* Names under which a ghost is made, from the first one to the last, and the inode for writing. */
struct ghost_names {
	struct ghost_place *places;
	size_t count;
	int write_fd; /* O_PATH */
	bool is_directory;
};

#define GHOST_NAMES_INIT                                                                                               \
	{                                                                                                              \
		.write_fd = -1                                                                                         \
	}
#define AUTO_GHOST_NAMES __attribute__((cleanup(ghost_names_done)))

/* Takes away what names are left, and closes. */
void ghost_names_done(struct ghost_names *names);

/* ghost->fd, those of its other names and of its users are open then, and names->write_fd: 0 or -errno. */
int ghost_make_inode(struct restore *r, struct restore_ghost *ghost, const GhostFileEntry *entry,
		     struct ghost_names *names);
