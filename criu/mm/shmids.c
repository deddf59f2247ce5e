/*
 * The kernel's tmpfs mount and its hugetlbfs mounts count their inodes each for itself, so that two objects can have
 * one number. The first one that was added keeps it; others get numbers from the top that no inode has.
 */
#include "mm/shmids.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/util.h"

struct shmids_object {
	dev_t device;
	uint64_t inode;
	bool has_inode_as_number;
};

static bool has_inode(const struct shmids *shmids, uint64_t inode)
{
	return key_index_first(&shmids->by_inode, inode) != KEY_INDEX_END;
}

size_t shmids_find(const struct shmids *shmids, dev_t device, uint64_t inode)
{
	const struct key_index *index = &shmids->by_inode;

	for (size_t at = key_index_first(index, inode); at != KEY_INDEX_END; at = key_index_next(index, at))
		if (shmids->objects[key_index_place(index, at)].device == device)
			return key_index_place(index, at);
	return SHMIDS_NONE;
}

int shmids_add(struct shmids *shmids, dev_t device, uint64_t inode)
{
	int r = array_reserve(&shmids->objects, &shmids->capacity, shmids->count, sizeof(*shmids->objects));

	const bool is_known = has_inode(shmids, inode);

	if (r == 0)
		r = key_index_add(&shmids->by_inode, inode, shmids->count);
	if (r < 0)
		return r;
	shmids->objects[shmids->count++] = (struct shmids_object){
		.device = device,
		.inode = inode,
		.has_inode_as_number = inode <= UINT32_MAX && !is_known,
	};
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
	key_index_done(&shmids->by_inode);
	*shmids = (struct shmids){ 0 };
}
