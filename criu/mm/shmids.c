/*
 * The kernel's tmpfs mount and its hugetlbfs mounts count their inodes each for itself, so that two objects can have
 * one number. The first one that was added keeps it; others get numbers from the top that no inode has.
 */
#include "mm/shmids.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/util.h"

#define FIRST_SLOTS 64

struct shmids_object {
	dev_t device;
	uint64_t inode;
	bool has_inode_as_number;
};

static size_t hash(uint64_t inode)
{
	return (size_t)(inode * 0x9e3779b97f4a7c15ull >> 20);
}

/* The first object with the inode number from *at on, which is where the search goes on. NULL: none. */
static const struct shmids_object *next_with_inode(const struct shmids *shmids, uint64_t inode, size_t *at)
{
	const size_t mask = shmids->slot_count - 1;

	while (shmids->slot_count) {
		uint32_t number = shmids->slots[(*at)++ & mask];

		if (!number)
			return NULL;
		if (shmids->objects[number - 1].inode == inode)
			return &shmids->objects[number - 1];
	}
	return NULL;
}

static bool has_inode(const struct shmids *shmids, uint64_t inode)
{
	size_t at = hash(inode);

	return next_with_inode(shmids, inode, &at) != NULL;
}

size_t shmids_find(const struct shmids *shmids, dev_t device, uint64_t inode)
{
	const struct shmids_object *object;
	size_t at = hash(inode);

	while ((object = next_with_inode(shmids, inode, &at)))
		if (object->device == device)
			return (size_t)(object - shmids->objects);
	return SHMIDS_NONE;
}

static void put(struct shmids *shmids, size_t place)
{
	size_t at = hash(shmids->objects[place].inode);

	while (shmids->slots[at & (shmids->slot_count - 1)])
		at++;
	shmids->slots[at & (shmids->slot_count - 1)] = (uint32_t)place + 1;
}

/* At least half of the slots stay free, so that every search ends. */
static int reserve_slot(struct shmids *shmids)
{
	size_t count = shmids->slot_count ? 2 * shmids->slot_count : FIRST_SLOTS;
	uint32_t *slots;

	if (2 * shmids->count < shmids->slot_count)
		return 0;
	slots = calloc(count, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(shmids->slots);
	shmids->slots = slots;
	shmids->slot_count = count;
	for (size_t i = 0; i < shmids->count; i++)
		put(shmids, i);
	return 0;
}

int shmids_add(struct shmids *shmids, dev_t device, uint64_t inode)
{
	int r = array_reserve(&shmids->objects, &shmids->capacity, shmids->count, sizeof(*shmids->objects));

	if (r == 0)
		r = reserve_slot(shmids);
	if (r < 0)
		return r;
	shmids->objects[shmids->count] = (struct shmids_object){
		.device = device,
		.inode = inode,
		.has_inode_as_number = inode <= UINT32_MAX && !has_inode(shmids, inode),
	};
	put(shmids, shmids->count++);
	return 0;
}

void shmids_assign(const struct shmids *shmids, uint32_t *ret_numbers)
{
	uint32_t next = UINT32_MAX;

	for (size_t i = 0; i < shmids->count; i++) {
		if (shmids->objects[i].has_inode_as_number) {
			ret_numbers[i] = (uint32_t)shmids->objects[i].inode;
			continue;
		}
		while (has_inode(shmids, next))
			next--;
		ret_numbers[i] = next--;
	}
}

void shmids_done(struct shmids *shmids)
{
	free(shmids->objects);
	free(shmids->slots);
	*shmids = (struct shmids){ 0 };
}
