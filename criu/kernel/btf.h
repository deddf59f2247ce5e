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
	void *data; /* malloc()ed, or mapped when mapped_bytes is not 0 */
	size_t mapped_bytes;
};

/* 0 or -errno. */
int btf_open(struct btf *ret);
void btf_done(struct btf *btf);

/* The number of a function's type, or -ENOENT. */
int btf_find_function(const struct btf *btf, const char *name);

/* The offset in bytes of a member of a structure, or -ENOENT. */
int btf_member_offset(const struct btf *btf, const char *structure, const char *member);

#define AUTO_BTF __attribute__((cleanup(btf_done)))
