/*
 * Which shared memory objects there are, and the number each has in the images (shmid). The kernel knows an object by
 * device and inode number, the images by one number of 32 bits: the inode number, but for objects whose inode number
 * another one has on another device, or that is too large.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/key-index.h"

struct shmids_object;

/* All zero when empty. */
struct shmids {
	struct shmids_object *objects; /* in the order in which they were added */
	size_t count, capacity;
	struct key_index by_inode;
};

#define SHMIDS_NONE SIZE_MAX

/* The place of an object among all, SHMIDS_NONE when it was not added. */
size_t shmids_find(const struct shmids *shmids, dev_t device, uint64_t inode);

/* An object that was not added before: its place is the count before. Returns 0 or -ENOMEM. */
int shmids_add(struct shmids *shmids, dev_t device, uint64_t inode);

/* When all have been added: the numbers, by place. */
void shmids_assign(const struct shmids *shmids, uint32_t *ret_numbers);

void shmids_done(struct shmids *shmids);
