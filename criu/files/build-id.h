/*
 * The GNU build-id of an ELF file: what tells two builds of a program apart. Files are input from strangers, everything
 * read from them is bounded.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BUILD_ID_MAX_BYTES 64

struct build_id {
	uint8_t bytes[BUILD_ID_MAX_BYTES]; /* zero behind the id */
	size_t size;
};

/* 0, -ENOENT when it is no ELF file of this machine's byte order or has no build-id, or -errno. */
int build_id_read(int fd, struct build_id *ret);

/* Looks through the notes of one segment: 0 or -ENOENT. */
int build_id_find(const void *notes, size_t bytes, struct build_id *ret);

/* The id as the image has it: u32 words in memory order, the last one padded with zeros. */
size_t build_id_words(const struct build_id *id);
uint32_t build_id_word(const struct build_id *id, size_t index);
