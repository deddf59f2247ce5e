/*
 * Finds things that are kept in an array by a number that several of them may have in common: an inode, an id, bits of
 * pointers. A hash table of keys and places in the array; whoever asks goes through all places of a key and takes what
 * is meant.
 *
 *	for (size_t at = key_index_first(&index, inode); at != KEY_INDEX_END; at = key_index_next(&index, at))
 *		if (things[key_index_place(&index, at)].device == device)
 *			...
 *
 * Nothing is taken out again. All zero when empty.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct key_index_entry {
	uint64_t key;
	size_t place; /* + 1; 0: a free one */
};

struct key_index {
	struct key_index_entry *entries;
	size_t count, capacity; /* which is a power of two, and never full: every search ends */
};

#define KEY_INDEX_END SIZE_MAX

/* 0 or -ENOMEM. Ends walks that are under way. */
int key_index_add(struct key_index *index, uint64_t key, size_t place);

/* The first with this key, the next one that has the key of this one, KEY_INDEX_END. */
size_t key_index_first(const struct key_index *index, uint64_t key);
size_t key_index_next(const struct key_index *index, size_t at);

static inline size_t key_index_place(const struct key_index *index, size_t at)
{
	return index->entries[at].place - 1;
}

void key_index_done(struct key_index *index);

#define AUTO_KEY_INDEX __attribute__((cleanup(key_index_done)))
