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

/* Word by word: the way over a hundred thousand types must not wait for a record to be copied. */
static uint32_t word_at(const char *at, size_t offset)
{
	uint32_t word;

	memcpy(&word, at + offset, sizeof(word));
	return word;
}

static uint32_t info_at(const char *at)
{
	return word_at(at, offsetof(struct btf_type, info));
}

static uint32_t name_at(const char *at)
{
	return word_at(at, offsetof(struct btf_type, name_off));
}

static size_t type_bytes(uint32_t info)
{
	const size_t members = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KIND_DECL_TAG:
		return sizeof(struct btf_type) + 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_type) + 12;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case KIND_ENUM64:
		return sizeof(struct btf_type) + 12 * members;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return sizeof(struct btf_type) + 8 * members;
	default:
		return sizeof(struct btf_type);
	}
}

/* The type behind this one; NULL: this was the last. */
static const char *next_type(const struct btf *btf, const char *at)
{
	const size_t bytes = type_bytes(info_at(at));

	return (size_t)(btf->types_end - at) < bytes + sizeof(struct btf_type) ? NULL : at + bytes;
}

static const char *first_type(const struct btf *btf)
{
	return (size_t)(btf->types_end - btf->types) < sizeof(struct btf_type) ? NULL : btf->types;
}

static bool is_named(const struct btf *btf, const char *at, const char *name)
{
	const char *found = btf->strings + name_at(at);

	return name_at(at) < btf->string_bytes && found[0] == name[0] && strcmp(found, name) == 0;
}

/*
 * Where a name stands among the strings, 0: nowhere. Each stands there once: types are told by this number, which
 * spares looking at the names of a hundred thousand.
 */
static uint32_t find_name(const struct btf *btf, const char *name)
{
	char pattern[64] = "";
	const size_t bytes = strlen(name) + 2;
	const char *at;

	if (bytes > sizeof(pattern))
		return 0;
	memcpy(pattern + 1, name, bytes - 1);
	at = memmem(btf->strings, btf->string_bytes, pattern, bytes);
	return at ? (uint32_t)(at + 1 - btf->strings) : 0;
}

/* Its name is far behind in the strings: to look at the names on the way is quicker than to search for it. */
static int find_function(const struct btf *btf, const char *name)
{
	int id = 1;

	for (const char *at = first_type(btf); at; at = next_type(btf, at), id++)
		if (BTF_INFO_KIND(info_at(at)) == BTF_KIND_FUNC && is_named(btf, at, name))
			return id;
	return -ENOENT;
}

#define NAMES_KEPT 4

/* The same few are asked for again and again. */
int btf_find_function(const struct btf *btf, const char *name)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct {
		const char *types, *end, *name;
		int id;
	} kept[NAMES_KEPT];
	static size_t count;
	int id = 0;

	(void)pthread_mutex_lock(&lock);
	for (size_t i = 0; i < count; i++)
		if (kept[i].types == btf->types && kept[i].end == btf->types_end && strcmp(kept[i].name, name) == 0)
			id = kept[i].id;
	if (!id) {
		id = find_function(btf, name);
		if (count < NAMES_KEPT) {
			kept[count].types = btf->types;
			kept[count].end = btf->types_end;
			kept[count].name = name;
			kept[count++].id = id;
		}
	}
	(void)pthread_mutex_unlock(&lock);
	return id;
}

/* Every so many types it is noted where they are: the way to a type by its number is short then. */
#define MARK_EVERY 128

struct marks {
	const char *types, *end;
	uint32_t *positions;
	uint32_t count; /* the last one is where the walk ended */
};

/* Over so many types; NULL when there are not that many. */
static const char *skip_types(const struct btf *btf, const char *at, uint32_t count)
{
	while (at && count--)
		at = next_type(btf, at);
	return at;
}

/* To a new mark; false at the end of the types. */
static bool walk_on(const struct btf *btf, struct marks *marks)
{
	const char *at = skip_types(btf, btf->types + marks->positions[marks->count - 1], MARK_EVERY);

	if (at)
		marks->positions[marks->count++] = (uint32_t)(at - btf->types);
	return at != NULL;
}

static int prepare_marks(const struct btf *btf, struct marks *marks)
{
	const size_t most = (size_t)(btf->types_end - btf->types) / sizeof(struct btf_type) / MARK_EVERY + 1;

	if (marks->types == btf->types && marks->end == btf->types_end)
		return 0;
	if (!first_type(btf))
		return -ENOENT;
	free(marks->positions);
	*marks = (struct marks){ .positions = calloc(most, sizeof(*marks->positions)) };
	if (!marks->positions)
		return -ENOMEM;
	marks->types = btf->types;
	marks->end = btf->types_end;
	marks->count = 1;
	return 0;
}

/* The last mark that is not behind the type; NULL when there is no such type. */
static const char *find_mark(const struct btf *btf, uint32_t number)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct marks marks;
	const uint32_t wanted = (number - 1) / MARK_EVERY;
	const char *at = NULL;

	(void)pthread_mutex_lock(&lock);
	if (number && prepare_marks(btf, &marks) == 0) {
		while (marks.count <= wanted && walk_on(btf, &marks))
			;
		at = wanted < marks.count ? btf->types + marks.positions[wanted] : NULL;
	}
	(void)pthread_mutex_unlock(&lock);
	return at;
}

static const char *find_by_number(const struct btf *btf, uint32_t number)
{
	return skip_types(btf, find_mark(btf, number), (number - 1) % MARK_EVERY);
}

#define MAX_DEPTH 3 /* of members without a name */

struct found_member {
	int offset; /* -ENOENT: there is none */
	uint32_t type;
};

static struct found_member find_member(const struct btf *btf, const char *at, const char *member, int depth);

static int member_offset(uint32_t info, const struct btf_member *record)
{
	return (int)((BTF_INFO_KFLAG(info) ? BITFIELD_OFFSET(record->offset) : record->offset) / 8);
}

static struct found_member find_own_member(const struct btf *btf, uint32_t info, const char *at, const char *member)
{
	for (unsigned int i = 0; i < BTF_INFO_VLEN(info); i++, at += sizeof(struct btf_member)) {
		struct btf_member record;

		memcpy(&record, at, sizeof(record));
		if (record.name_off && record.name_off < btf->string_bytes &&
		    strcmp(btf->strings + record.name_off, member) == 0)
			return (struct found_member){ member_offset(info, &record), record.type };
	}
	return (struct found_member){ .offset = -ENOENT };
}

/* Those of members without a name count as the structure's own. */
static struct found_member find_inner_member(const struct btf *btf, uint32_t info, const char *at, const char *member,
					     int depth)
{
	for (unsigned int i = 0; i < BTF_INFO_VLEN(info); i++, at += sizeof(struct btf_member)) {
		struct found_member inner = { .offset = -ENOENT };
		struct btf_member record;
		const char *unnamed;

		memcpy(&record, at, sizeof(record));
		unnamed = record.name_off ? NULL : find_by_number(btf, record.type);
		if (unnamed)
			inner = find_member(btf, unnamed, member, depth + 1);
		if (inner.offset < 0)
			continue;
		inner.offset += member_offset(info, &record);
		return inner;
	}
	return (struct found_member){ .offset = -ENOENT };
}

/* at is the type's record. */
static struct found_member find_member(const struct btf *btf, const char *at, const char *member, int depth)
{
	const uint32_t info = info_at(at);
	struct found_member found = { .offset = -ENOENT };

	if (type_bytes(info) > (size_t)(btf->types_end - at) ||
	    (BTF_INFO_KIND(info) != BTF_KIND_STRUCT && BTF_INFO_KIND(info) != BTF_KIND_UNION))
		return found;
	at += sizeof(struct btf_type);
	found = find_own_member(btf, info, at, member);
	if (found.offset >= 0 || depth == MAX_DEPTH)
		return found;
	return find_inner_member(btf, info, at, member, depth);
}

static const char *find_structure_by_number(const struct btf *btf, uint32_t number)
{
	const char *at = find_by_number(btf, number);

	for (int i = 0; at && i < MAX_DEPTH && BTF_INFO_KIND(info_at(at)) == BTF_KIND_TYPEDEF; i++)
		at = find_by_number(btf, word_at(at, offsetof(struct btf_type, type)));
	return at;
}

#define MEMBER_BYTES 64

/* The offset of "a" or "a.b", the size for "". */
static int find_path(const struct btf *btf, const char *at, const char *path)
{
	const size_t bytes = strcspn(path, ".");
	char name[MEMBER_BYTES] = "";
	struct found_member found;
	int inner;

	if (bytes >= sizeof(name))
		return -ENOENT;
	if (!bytes)
		return (int)word_at(at, offsetof(struct btf_type, size));
	memcpy(name, path, bytes);
	found = find_member(btf, at, name, 0);
	if (found.offset < 0 || !path[bytes])
		return found.offset;
	at = find_structure_by_number(btf, found.type);
	inner = at ? find_path(btf, at, path + bytes + 1) : -ENOENT;
	return inner < 0 ? inner : found.offset + inner;
}

/* Notes what is wanted of one structure; the number of members that had not been found before. */
static size_t take_offsets(const struct btf *btf, const char *at, struct btf_offset *offsets, size_t count)
{
	const uint32_t name_off = name_at(at);
	size_t taken = 0;

	for (size_t i = 0; i < count; i++) {
		if (offsets[i].name_off != name_off || offsets[i].offset >= 0)
			continue;
		offsets[i].offset = find_path(btf, at, offsets[i].member);
		taken += offsets[i].offset >= 0;
	}
	return taken;
}

/* Most types are none of those: a bit for each name tells at once. */
static uint64_t name_bit(uint32_t name_off)
{
	return 1ull << name_off % 64;
}

/* Finds the names; the number of members whose structure may be there. */
static size_t prepare_offsets(const struct btf *btf, struct btf_offset *offsets, size_t count, uint64_t *ret_bits)
{
	size_t left = 0;

	*ret_bits = 0;
	for (size_t i = 0; i < count; i++) {
		const bool is_next = i > 0 && offsets[i].structure == offsets[i - 1].structure;

		offsets[i].name_off = is_next ? offsets[i - 1].name_off : find_name(btf, offsets[i].structure);
		offsets[i].offset = -ENOENT;
		if (!offsets[i].name_off)
			continue;
		*ret_bits |= name_bit(offsets[i].name_off);
		left++;
	}
	return left;
}

void btf_find_offsets(const struct btf *btf, struct btf_offset *offsets, size_t count)
{
	uint64_t bits;
	size_t left = prepare_offsets(btf, offsets, count, &bits);

	for (const char *at = left ? first_type(btf) : NULL; left && at; at = next_type(btf, at))
		if (BTF_INFO_KIND(info_at(at)) == BTF_KIND_STRUCT && bits & name_bit(name_at(at)))
			left -= take_offsets(btf, at, offsets, count);
}

int btf_member_offset(const struct btf *btf, const char *structure, const char *member)
{
	struct btf_offset offset = { .structure = structure, .member = member };

	btf_find_offsets(btf, &offset, 1);
	return offset.offset;
}

const char *btf_find_structure(const struct btf *btf, const char *name)
{
	const uint32_t name_off = find_name(btf, name);

	for (const char *at = name_off ? first_type(btf) : NULL; at; at = next_type(btf, at))
		if (name_at(at) == name_off && BTF_INFO_KIND(info_at(at)) == BTF_KIND_STRUCT)
			return at;
	return NULL;
}

int btf_offset_in(const struct btf *btf, const char *record, const char *member)
{
	return find_path(btf, record, member);
}

int btf_structure_bytes(const struct btf *btf, const char *structure)
{
	const char *at = btf_find_structure(btf, structure);

	return at ? (int)word_at(at, offsetof(struct btf_type, size)) : -ENOENT;
}
