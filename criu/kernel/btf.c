#include "kernel/btf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <pthread.h>
#include <stdbool.h>
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
static int map_file(const char **ret_data, size_t *ret_bytes)
{
	AUTO_CLOSE int fd = open(VMLINUX_BTF, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	*ret_data = data;
	*ret_bytes = (size_t)st.st_size;
	return 0;
}

static int read_file(const char **ret_data, size_t *ret_bytes)
{
	struct buffer text = { 0 };
	int r = buffer_read_at(&text, AT_FDCWD, VMLINUX_BTF);

	*ret_data = text.data;
	*ret_bytes = text.bytes;
	return r;
}

static int load(struct btf *ret)
{
	const char *data = NULL;
	size_t bytes = 0;
	int r = map_file(&data, &bytes);

	if (r < 0)
		r = read_file(&data, &bytes);
	return r < 0 ? r : parse_header(data, bytes, ret);
}

int btf_get(const struct btf **ret)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct btf btf;
	static int result = 1; /* not tried yet */

	(void)pthread_mutex_lock(&lock);
	if (result > 0)
		result = load(&btf);
	(void)pthread_mutex_unlock(&lock);
	*ret = &btf;
	return result;
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

static bool is_named(const struct btf *btf, const struct btf_type *type, const char *name)
{
	const char *found = btf->strings + type->name_off;

	return type->name_off < btf->string_bytes && found[0] == name[0] && strcmp(found, name) == 0;
}

int btf_find_function(const struct btf *btf, const char *name)
{
	int id = 1;

	for (const char *at = btf->types; at + sizeof(struct btf_type) <= btf->types_end; id++) {
		struct btf_type type;

		memcpy(&type, at, sizeof(type));
		if (BTF_INFO_KIND(type.info) == BTF_KIND_FUNC && is_named(btf, &type, name))
			return id;
		at += type_bytes(&type);
	}
	return -ENOENT;
}

/* Where each type is, by its number: found once, for there are a hundred thousand. */
static const uint32_t *positions_of(const struct btf *btf, uint32_t *ret_count)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static const char *types;
	static uint32_t *positions, count;

	(void)pthread_mutex_lock(&lock);
	if (types != btf->types) {
		free(positions);
		positions =
		    malloc((size_t)(btf->types_end - btf->types) / sizeof(struct btf_type) * sizeof(*positions));
		types = positions ? btf->types : NULL;
		count = 0;
		for (const char *at = btf->types; positions && at + sizeof(struct btf_type) <= btf->types_end;) {
			struct btf_type type;

			positions[count++] = (uint32_t)(at - btf->types);
			memcpy(&type, at, sizeof(type));
			at += type_bytes(&type);
		}
	}
	*ret_count = count;
	(void)pthread_mutex_unlock(&lock);
	return positions;
}

static const char *find_by_number(const struct btf *btf, uint32_t number)
{
	uint32_t count;
	const uint32_t *positions = positions_of(btf, &count);

	return number == 0 || number > count ? NULL : btf->types + positions[number - 1];
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

/* Notes what is wanted of one structure; the number of members that had not been found before. */
static size_t take_offsets(const struct btf *btf, const char *at, struct btf_offset *offsets, size_t count)
{
	const char *compared = NULL;
	struct btf_type type;
	bool matches = false;
	size_t taken = 0;

	memcpy(&type, at, sizeof(type));
	for (size_t i = 0; i < count; i++) {
		if (offsets[i].structure != compared) {
			compared = offsets[i].structure;
			matches = is_named(btf, &type, compared);
		}
		if (!matches || offsets[i].offset >= 0)
			continue;
		offsets[i].offset = find_member(btf, at, offsets[i].member, 0);
		taken += offsets[i].offset >= 0;
	}
	return taken;
}

void btf_find_offsets(const struct btf *btf, struct btf_offset *offsets, size_t count)
{
	size_t left = count;

	for (size_t i = 0; i < count; i++)
		offsets[i].offset = -ENOENT;
	for (const char *at = btf->types; left && at + sizeof(struct btf_type) <= btf->types_end;) {
		struct btf_type type;

		memcpy(&type, at, sizeof(type));
		if (BTF_INFO_KIND(type.info) == BTF_KIND_STRUCT && type.name_off)
			left -= take_offsets(btf, at, offsets, count);
		at += type_bytes(&type);
	}
}

int btf_member_offset(const struct btf *btf, const char *structure, const char *member)
{
	struct btf_offset offset = { .structure = structure, .member = member };

	btf_find_offsets(btf, &offset, 1);
	return offset.offset;
}

const char *btf_find_structure(const struct btf *btf, const char *name)
{
	for (const char *at = btf->types; at + sizeof(struct btf_type) <= btf->types_end;) {
		struct btf_type type;

		memcpy(&type, at, sizeof(type));
		if (BTF_INFO_KIND(type.info) == BTF_KIND_STRUCT && is_named(btf, &type, name))
			return at;
		at += type_bytes(&type);
	}
	return NULL;
}

int btf_offset_in(const struct btf *btf, const char *record, const char *member)
{
	return find_member(btf, record, member, 0);
}

int btf_structure_bytes(const struct btf *btf, const char *structure)
{
	const char *at = btf_find_structure(btf, structure);
	struct btf_type type;

	if (!at)
		return -ENOENT;
	memcpy(&type, at, sizeof(type));
	return (int)type.size;
}
