/*
 * The kernel's own type information (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF): numbers of functions, offsets of
 * members. Several megabytes: looked up only where there is no cheaper way.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct btf {
	const char *types, *types_end;
	const char *strings;
	size_t string_bytes;
};

/* This kernel's, read once and kept: 0 or -errno. For any thread. */
int btf_get(const struct btf **ret);

/* The number of a function's type, or -ENOENT. The name is a constant: it is kept. */
int btf_find_function(const struct btf *btf, const char *name);

/*
 * A member of a structure, and its offset in bytes once it was looked up: -ENOENT when there is none. "a.b" is the
 * member b of the structure that the member a is; "" stands for the structure's end, whose offset is its size.
 */
struct btf_offset {
	const char *structure, *member;
	int offset;
	uint32_t name_off; /* of the structure's name, while it is looked up */
};

/* Looks them all up in one pass over the types. Members of members without a name count as the structure's own. */
void btf_find_offsets(const struct btf *btf, struct btf_offset *offsets, size_t count);

/* The same for one: the offset or -ENOENT. */
int btf_member_offset(const struct btf *btf, const char *structure, const char *member);

/* The record of the first structure of that name, NULL; and the offset of a member in it or -ENOENT. */
const char *btf_find_structure(const struct btf *btf, const char *name);
int btf_offset_in(const struct btf *btf, const char *record, const char *member);

/* The size of a structure in bytes, or -ENOENT. */
int btf_structure_bytes(const struct btf *btf, const char *structure);
