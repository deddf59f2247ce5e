/* Build-ids: the program headers lead to the note segments, and one of the notes is the id. */
#include "files/build-id.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define MAX_SEGMENTS   64
#define MAX_NOTE_BYTES 4096

/* What the two word sizes have in common, after reading. */
struct segment {
	uint32_t type;
	uint64_t offset, bytes;
};

struct headers {
	bool is_64;
	uint64_t table_offset;
	size_t entry_bytes, count;
};

static ssize_t read_some(int fd, void *data, size_t bytes, uint64_t offset)
{
	ssize_t n;

	if (offset > INT64_MAX)
		return -ENOENT;
	do
		n = pread(fd, data, bytes, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int parse_header(const uint8_t *data, size_t bytes, struct headers *ret)
{
	const uint8_t order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;

	if (bytes < sizeof(narrow) || memcmp(data, ELFMAG, SELFMAG) != 0 || data[EI_DATA] != order)
		return -ENOENT;
	if (data[EI_CLASS] == ELFCLASS64 && bytes >= sizeof(wide)) {
		memcpy(&wide, data, sizeof(wide));
		*ret = (struct headers){ true, wide.e_phoff, wide.e_phentsize, wide.e_phnum };
		return wide.e_phentsize == sizeof(Elf64_Phdr) ? 0 : -ENOENT;
	}
	if (data[EI_CLASS] != ELFCLASS32)
		return -ENOENT;
	memcpy(&narrow, data, sizeof(narrow));
	*ret = (struct headers){ false, narrow.e_phoff, narrow.e_phentsize, narrow.e_phnum };
	return narrow.e_phentsize == sizeof(Elf32_Phdr) ? 0 : -ENOENT;
}

static struct segment parse_segment(const struct headers *headers, const uint8_t *data)
{
	Elf64_Phdr wide;
	Elf32_Phdr narrow;

	if (headers->is_64) {
		memcpy(&wide, data, sizeof(wide));
		return (struct segment){ wide.p_type, wide.p_offset, wide.p_filesz };
	}
	memcpy(&narrow, data, sizeof(narrow));
	return (struct segment){ narrow.p_type, narrow.p_offset, narrow.p_filesz };
}

int build_id_find(const void *notes, size_t bytes, struct build_id *ret)
{
	const uint8_t *at = notes;
	Elf64_Nhdr note; /* the same for both word sizes */

	while (bytes >= sizeof(note)) {
		size_t name_bytes, id_bytes;

		memcpy(&note, at, sizeof(note));
		at += sizeof(note);
		bytes -= sizeof(note);
		name_bytes = ((size_t)note.n_namesz + 3) & ~(size_t)3;
		id_bytes = ((size_t)note.n_descsz + 3) & ~(size_t)3;
		if (name_bytes > bytes || id_bytes > bytes - name_bytes)
			return -ENOENT;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
		    memcmp(at, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0 && note.n_descsz > 0 &&
		    note.n_descsz <= BUILD_ID_MAX_BYTES) {
			memset(ret, 0, sizeof(*ret));
			memcpy(ret->bytes, at + name_bytes, note.n_descsz);
			ret->size = note.n_descsz;
			return 0;
		}
		at += name_bytes + id_bytes;
		bytes -= name_bytes + id_bytes;
	}
	return -ENOENT;
}

/* Most often the notes are in what was read first. */
static int find_in_segment(int fd, const struct segment *segment, const uint8_t *page, size_t page_bytes,
			   struct build_id *ret)
{
	uint8_t notes[MAX_NOTE_BYTES];
	size_t bytes = segment->bytes < sizeof(notes) ? segment->bytes : sizeof(notes);
	ssize_t n;

	if (segment->offset < page_bytes && bytes <= page_bytes - segment->offset)
		return build_id_find(page + segment->offset, bytes, ret);
	n = read_some(fd, notes, bytes, segment->offset);
	return n < 0 ? (int)n : build_id_find(notes, (size_t)n, ret);
}

int build_id_read(int fd, struct build_id *ret)
{
	uint8_t page[4096], table[MAX_SEGMENTS * sizeof(Elf64_Phdr)];
	ssize_t page_bytes = read_some(fd, page, sizeof(page), 0), n;
	struct headers headers;
	int r;

	if (page_bytes < 0)
		return (int)page_bytes;
	r = parse_header(page, (size_t)page_bytes, &headers);
	if (r < 0 || headers.count > MAX_SEGMENTS)
		return -ENOENT;
	n = read_some(fd, table, headers.count * headers.entry_bytes, headers.table_offset);
	if (n < 0)
		return (int)n;
	for (size_t i = 0; i < (size_t)n / headers.entry_bytes; i++) {
		struct segment segment = parse_segment(&headers, table + i * headers.entry_bytes);

		if (segment.type != PT_NOTE)
			continue;
		r = find_in_segment(fd, &segment, page, (size_t)page_bytes, ret);
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

size_t build_id_words(const struct build_id *id)
{
	return (id->size + 3) / 4;
}

uint32_t build_id_word(const struct build_id *id, size_t index)
{
	uint32_t word;

	memcpy(&word, id->bytes + 4 * index, sizeof(word));
	return word;
}
