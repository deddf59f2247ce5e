/* The build-id reader: ids of both word sizes, and files that are cut, lie or have none. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "files/build-id.h"

struct note {
	Elf64_Nhdr head;
	char name[4];
	uint8_t id[20];
};

static struct note make_note(uint32_t type, uint32_t id_bytes)
{
	struct note note = { { 4, id_bytes, type }, "GNU", { 0 } };

	for (size_t i = 0; i < sizeof(note.id); i++)
		note.id[i] = (uint8_t)(i + 1);
	return note;
}

/* A file of two program headers, the second one a note segment that lies at note_offset. */
static int make_elf(const void *notes, size_t bytes, uint64_t note_offset, uint64_t claimed_bytes)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	Elf64_Ehdr header = {
		.e_phoff = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	};
	Elf64_Phdr segments[2] = {
		{ .p_type = PT_LOAD },
		{ .p_type = PT_NOTE, .p_offset = note_offset, .p_filesz = claimed_bytes },
	};

	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	header.e_ident[EI_DATA] = ELFDATA2LSB;
	assert_true(fd >= 0);
	assert_int_equal(pwrite_all(fd, &header, sizeof(header), 0), 0);
	assert_int_equal(pwrite_all(fd, segments, sizeof(segments), sizeof(header)), 0);
	assert_int_equal(pwrite_all(fd, notes, bytes, note_offset), 0);
	return fd;
}

static void test_id_is_found(void **state)
{
	const struct note notes[2] = { make_note(1, 20), make_note(NT_GNU_BUILD_ID, 20) };
	const uint64_t offsets[] = { 512, 4090, 100000 }; /* within, across and behind what is read first */

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		AUTO_CLOSE int fd = make_elf(notes, sizeof(notes), offsets[i], sizeof(notes));
		struct build_id id;

		assert_int_equal(build_id_read(fd, &id), 0);
		assert_int_equal(id.size, 20);
		assert_int_equal(build_id_words(&id), 5);
		assert_int_equal(build_id_word(&id, 0), 0x04030201);
		assert_int_equal(build_id_word(&id, 4), 0x14131211);
	}
}

static void test_last_word_is_padded(void **state)
{
	const struct note note = make_note(NT_GNU_BUILD_ID, 17);
	struct build_id id;

	assert_int_equal(build_id_find(&note, sizeof(note), &id), 0);
	assert_int_equal(build_id_words(&id), 5);
	assert_int_equal(build_id_word(&id, 4), 0x11);
}

static void test_damaged_notes(void **state)
{
	struct note note = make_note(NT_GNU_BUILD_ID, 20);
	struct build_id id;

	for (size_t bytes = 0; bytes < sizeof(note); bytes++)
		assert_int_equal(build_id_find(&note, bytes, &id), -ENOENT);
	note.head.n_descsz = UINT32_MAX;
	assert_int_equal(build_id_find(&note, sizeof(note), &id), -ENOENT);
	note.head.n_descsz = 0;
	assert_int_equal(build_id_find(&note, sizeof(note), &id), -ENOENT);
	note = make_note(NT_GNU_BUILD_ID, 20);
	note.head.n_namesz = UINT32_MAX - 2;
	assert_int_equal(build_id_find(&note, sizeof(note), &id), -ENOENT);
}

static void test_lying_headers(void **state)
{
	const struct note note = make_note(NT_GNU_BUILD_ID, 20);
	AUTO_CLOSE int long_segment = make_elf(&note, sizeof(note), 512, UINT64_MAX);
	AUTO_CLOSE int far_segment = make_elf(&note, sizeof(note), 512, sizeof(note));
	const uint64_t far = UINT64_MAX - 8;
	struct build_id id;

	assert_int_equal(build_id_read(long_segment, &id), 0);
	assert_int_equal(pwrite_all(far_segment, &far, sizeof(far),
				    sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, p_offset)),
			 0);
	assert_int_equal(build_id_read(far_segment, &id), -ENOENT);
}

static void test_no_elf(void **state)
{
	AUTO_CLOSE int empty = memfd_create("empty", MFD_CLOEXEC);
	AUTO_CLOSE int text = memfd_create("text", MFD_CLOEXEC);
	struct build_id id;

	assert_int_equal(build_id_read(empty, &id), -ENOENT);
	assert_int_equal(pwrite_all(text, "#!/bin/sh\n", 10, 0), 0);
	assert_int_equal(build_id_read(text, &id), -ENOENT);
	assert_int_equal(build_id_read(-1, &id), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id_is_found),   cmocka_unit_test(test_last_word_is_padded),
		cmocka_unit_test(test_damaged_notes), cmocka_unit_test(test_lying_headers),
		cmocka_unit_test(test_no_elf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
