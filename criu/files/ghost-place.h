/*
 * Where an inode without a name is made: at its old path, or as near to it as directories are there. Directories above
 * it that are gone are made for the moment. Everything is noted in the undo log before it is made.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct undo;

#define GHOST_PARENTS_MAX 64

struct ghost_place {
	char path[PATH_MAX];         /* of the inode; longer than what it had when its name is taken */
	char *name;                  /* in path: what is to be made below the directory, with the directories between */
	int dirfd;                   /* the nearest directory that exists */
	int write_dirfd;             /* the same, where its mount is read-only through one that is not; else dirfd */
	char own_name[NAME_MAX + 1]; /* the last component of the path it had, when it was given another; else "" */
	size_t parents[GHOST_PARENTS_MAX]; /* in path: ends of the directories that were made */
	size_t parent_count;
	struct undo *undo;
};

#define GHOST_PLACE_INIT                                                                                               \
	{                                                                                                              \
		.dirfd = -1, .write_dirfd = -1                                                                         \
	}

/* Finds it and makes nothing: 0, -EROFS when nothing can be written there, another -errno. */
int ghost_place_find(struct ghost_place *place, const char *path);

/* The directories above. They are removed by ghost_place_done(). */
int ghost_place_make_parents(struct ghost_place *place, struct undo *undo);

/* Gives the inode a name of ours beside its own: -ENAMETOOLONG. */
int ghost_place_rename(struct ghost_place *place, unsigned int id);

/*
 * Takes the name away. Where nobody else has its own name by now the inode gets that for an instant: what is open of it
 * is known by the last name it had.
 */
void ghost_place_remove(struct ghost_place *place, bool is_directory);

/*
 * Whether what was made at another place stands in this directory, too, seen through another mount, and had the same
 * name: the place leads to it then.
 */
bool ghost_place_follow(struct ghost_place *place, const struct ghost_place *other);

/* Before something is made under the name: notes it unless there is something already, which is -EEXIST. */
int ghost_place_note(struct ghost_place *place);
/* Its name was taken away again. */
void ghost_place_forget(struct ghost_place *place);

void ghost_place_done(struct ghost_place *place);

#define AUTO_GHOST_PLACE __attribute__((cleanup(ghost_place_done)))
