#include "kernel/btf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"

#define VMLINUX_BTF "/sys/kernel/btf/vmlinux"

/* Kinds that older headers lack. */
#define KIND_DECL_TAG 17
#define KIND_ENUM64   19

#define BITFIELD_OFFSET(offset) ((offset)&0xffffff)

static int parse_header(const char *data, size_t bytes, struct btf *ret)
{
	struct btf_header header;

	if (bytes < sizeof(header))
		return -EINVAL;
	memcpy(&header, data, sizeof(header));
	if (header.magic != BTF_MAGIC || header.hdr_len > bytes || header.type_off > bytes - header.hdr_len ||
	    header.type_len > bytes - header.hdr_len - header.type_off || header.str_off > bytes - header.hdr_len ||
	    header.str_len > bytes - header.hdr_len - header.str_off)
		return -EINVAL;
	ret->types = data + header.hdr_len + header.type_off;
	ret->types_end = ret->types + header.type_len;
	ret->strings = data + header.hdr_len + header.str_off;
	ret->string_bytes = header.str_len;
	return 0;
}

/* Since Linux 6.16 it can be mapped, which saves copying it. */
static int map_file(struct btf *ret, size_t *ret_bytes)
{
	AUTO_CLOSE int fd = open(VMLINUX_BTF, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	ret->data = data;
	*ret_bytes = ret->mapped_bytes = (size_t)st.st_size;
	return 0;
}

static int read_file(struct btf *ret, size_t *ret_bytes)
{
	struct buffer text = { 0 };
	int r = buffer_read_at(&text, AT_FDCWD, VMLINUX_BTF);

	ret->data = text.data;
	ret->mapped_bytes = 0;
	*ret_bytes = text.bytes;
	return r;
}

int btf_open(struct btf *ret)
{
	size_t bytes = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = map_file(ret, &bytes);
	if (r < 0)
		r = read_file(ret, &bytes);
	if (r == 0)
		r = parse_header(ret->data, bytes, ret);
	if (r < 0)
		btf_done(ret);
	return r;
}

void btf_done(struct btf *btf)
{
	if (btf->mapped_bytes)
		(void)munmap(btf->data, btf->mapped_bytes);
	else
		free(btf->data);
	memset(btf, 0, sizeof(*btf));
}

/* The offset of a whole string, 0 when there is none. */
static uint32_t find_string(const struct btf *btf, const char *name)
{
	size_t bytes = strlen(name) + 1;
	const char *at = btf->strings, *end = btf->strings + btf->string_bytes;

	while ((at = memmem(at, (size_t)(end - at), name, bytes))) {
		if (at > btf->strings && at[-1] == '\0')
			return (uint32_t)(at - btf->strings);
		at++;
	}
	return 0;
}

static size_t type_bytes(const struct btf_type *type)
{
	size_t members = BTF_INFO_VLEN(type->info);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KIND_DECL_TAG:
		return sizeof(*type) + 4;
	case BTF_KIND_ARRAY:
		return sizeof(*type) + 12;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case KIND_ENUM64:
		return sizeof(*type) + 12 * members;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return sizeof(*type) + 8 * members;
	default:
		return sizeof(*type);
	}
}

#define MAX_DEPTH 3 /* of members without a name */

/* The number of the first type of this kind and name, and where its record is. */
static int find_type(const struct btf *btf, unsigned int kind, const char *name, const char **ret_at)
{
	const uint32_t string = find_string(btf, name);
	int id = 1;

	for (const char *at = btf->types; string && at + sizeof(struct btf_type) <= btf->types_end; id++) {
		struct btf_type type;

		memcpy(&type, at, sizeof(type));
		if (BTF_INFO_KIND(type.info) == kind && type.name_off == string) {
			*ret_at = at;
			return id;
		}
		at += type_bytes(&type);
	}
	return -ENOENT;
}

int btf_find_function(const struct btf *btf, const char *name)
{
	const char *at;

	return find_type(btf, BTF_KIND_FUNC, name, &at);
}

static const char *find_by_number(const struct btf *btf, uint32_t number)
{
	const char *at = btf->types;

	for (uint32_t id = 1; at + sizeof(struct btf_type) <= btf->types_end; id++) {
		struct btf_type type;

		if (id == number)
			return at;
		memcpy(&type, at, sizeof(type));
		at += type_bytes(&type);
	}
	return NULL;
}

/* Members of members without a name count as the structure's own. at is the type's record. */
static int find_member(const struct btf *btf, const char *at, const char *member, int depth)
{
	struct btf_type type;
	int inner = -ENOENT;

	memcpy(&type, at, sizeof(type));
	if (at + type_bytes(&type) > btf->types_end)
		return -EINVAL;
	if (BTF_INFO_KIND(type.info) != BTF_KIND_STRUCT && BTF_INFO_KIND(type.info) != BTF_KIND_UNION)
		return -ENOENT;
	at += sizeof(type);
	for (unsigned int i = 0; i < BTF_INFO_VLEN(type.info); i++, at += sizeof(struct btf_member)) {
		struct btf_member record;
		const char *unnamed;
		int offset;

		memcpy(&record, at, sizeof(record));
		offset = (int)((BTF_INFO_KFLAG(type.info) ? BITFIELD_OFFSET(record.offset) : record.offset) / 8);
		if (record.name_off && record.name_off < btf->string_bytes &&
		    strcmp(btf->strings + record.name_off, member) == 0)
			return offset;
		unnamed = record.name_off || depth == MAX_DEPTH ? NULL : find_by_number(btf, record.type);
		inner = unnamed ? find_member(btf, unnamed, member, depth + 1) : -ENOENT;
		if (inner >= 0)
			return offset + inner;
	}
	return -ENOENT;
}

int btf_member_offset(const struct btf *btf, const char *structure, const char *member)
{
	const char *at;
	int r = find_type(btf, BTF_KIND_STRUCT, structure, &at);

	return r < 0 ? r : find_member(btf, at, member, 0);
}
