#include "base/key-index.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64

/* From at on: the first that is free or has the key. */
static size_t walk(const struct key_index *index, size_t at, uint64_t key)
{
	const size_t mask = index->capacity - 1;

	for (at &= mask; index->entries[at].place && index->entries[at].key != key;)
		at = (at + 1) & mask;
	return index->entries[at].place ? at : KEY_INDEX_END;
}

static size_t home(uint64_t key)
{
	return (size_t)(key * 0x9e3779b97f4a7c15ull >> 20);
}

size_t key_index_first(const struct key_index *index, uint64_t key)
{
	return index->capacity ? walk(index, home(key), key) : KEY_INDEX_END;
}

size_t key_index_next(const struct key_index *index, size_t at)
{
	return walk(index, at + 1, index->entries[at].key);
}

static void put(struct key_index *index, const struct key_index_entry *entry)
{
	const size_t mask = index->capacity - 1;
	size_t at = home(entry->key) & mask;

	while (index->entries[at].place)
		at = (at + 1) & mask;
	index->entries[at] = *entry;
}

/* At least half of them stay free. */
static int reserve(struct key_index *index)
{
	struct key_index grown = { .capacity = index->capacity ? 2 * index->capacity : FIRST_CAPACITY };

	if (2 * index->count < index->capacity)
		return 0;
	grown.entries = calloc(grown.capacity, sizeof(*grown.entries));
	if (!grown.entries)
		return -ENOMEM;
	for (size_t i = 0; i < index->capacity; i++)
		if (index->entries[i].place)
			put(&grown, &index->entries[i]);
	free(index->entries);
	index->entries = grown.entries;
	index->capacity = grown.capacity;
	return 0;
}

int key_index_add(struct key_index *index, uint64_t key, size_t place)
{
	int r = reserve(index);

	if (r < 0)
		return r;
	put(index, &(struct key_index_entry){ .key = key, .place = place + 1 });
	index->count++;
	return 0;
}

void key_index_done(struct key_index *index)
{
	free(index->entries);
	*index = (struct key_index){ 0 };
}
