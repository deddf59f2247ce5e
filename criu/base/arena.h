/*
 * Memory that is released all at once: what makes up one message while it is built. Zero-filled, aligned to 16 bytes.
 *
 *	AUTO_ARENA struct arena arena = { 0 };
 */
#pragma once

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
};

/* NULL when there is no memory. */
void *arena_alloc(struct arena *arena, size_t bytes);
char *arena_strdup(struct arena *arena, const char *text);
void *arena_memdup(struct arena *arena, const void *data, size_t bytes);
void arena_done(struct arena *arena);

#define AUTO_ARENA __attribute__((cleanup(arena_done)))
