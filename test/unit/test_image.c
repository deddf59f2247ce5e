/* Image files both ways: names, framing, lists and payloads, damage, the life of a set. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "image/image-read.h"
#include "images/pipe-data.pb-c.h"
#include "images/seccomp.pb-c.h"
#include "images/stats.pb-c.h"
#include "images/apparmor.pb-c.h"
#include "test_image_sample.h"

struct fixture {
	char path[128];
	int dirfd;
	struct image_set set;
	struct error err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dirfd = sample_directory(f->path, sizeof(f->path));
	f->set = (struct image_set)IMAGE_SET_INIT;
	*state = f;
	return f->dirfd < 0 ? -1 : image_set_create(&f->set, AT_FDCWD, f->path, 0, &f->err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	image_set_done(&f->set);
	close_fd(&f->dirfd);
	sample_remove(f->path);
	free(f);
	return 0;
}

static void put_file(struct fixture *f, const char *name, const void *data, size_t bytes)
{
	AUTO_CLOSE int fd = openat(f->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, data, bytes), 0);
}

static size_t get_file(struct fixture *f, const char *name, void *data, size_t bytes)
{
	AUTO_CLOSE int fd = openat(f->dirfd, name, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, data, bytes);
	assert_true(n >= 0);
	return (size_t)n;
}

static void names_lead_back_to_kinds(void **state)
{
	char name[IMAGE_NAME_MAX];
	enum image_kind kind;
	uint64_t id;

	for (unsigned int k = 0; k < IMAGE_KINDS; k++) {
		image_name(k, 4294967295u, name);
		assert_int_equal(image_parse_name(name, &kind, &id), 0);
		assert_int_equal(kind, k);
		assert_true(image_type(k)->id_style == IMAGE_ID_NONE || id == 4294967295u);
	}
	image_name(IMAGE_TCP_STREAM, 0x577764, name);
	assert_string_equal(name, "tcp-stream-577764.img");
	image_name(IMAGE_TMPFS_DEV, 12, name);
	assert_string_equal(name, "tmpfs-dev-12.tar.gz.img");
	assert_int_equal(image_parse_name("core-012.img", &kind, &id), -ENOENT);
	assert_int_equal(image_parse_name("core-.img", &kind, &id), -ENOENT);
	assert_int_equal(image_parse_name("core-1.img.bak", &kind, &id), -ENOENT);
	assert_int_equal(image_parse_name("core-99999999999999999999.img", &kind, &id), -ENOENT);
}

static void one_record_has_two_magics(void **state)
{
	struct fixture *f = *state;
	SeccompEntry entry = SECCOMP_ENTRY__INIT, *read = NULL;
	uint32_t words[8];

	assert_int_equal(image_write_one(&f->set, IMAGE_SECCOMP, 0, &entry, &f->err), 0);
	assert_int_equal(get_file(f, "seccomp.img", words, sizeof(words)), 12);
	assert_int_equal(words[0], 0x54564319);
	assert_int_equal(words[1], 0x64413049);
	assert_int_equal(words[2], 0);
	assert_int_equal(image_read_one(&f->set, IMAGE_SECCOMP, 0, &seccomp_entry__descriptor, &read, &f->err), 0);
	assert_int_equal(read->n_seccomp_filters, 0);
	image_message_free(read);
}

static void other_framings(void **state)
{
	struct fixture *f = *state;
	StatsEntry stats = STATS_ENTRY__INIT;
	uint32_t words[8];

	assert_int_equal(image_write_one(&f->set, IMAGE_STATS_DUMP, 0, &stats, &f->err), 0);
	assert_int_equal(get_file(f, "stats-dump", words, sizeof(words)), 12);
	assert_int_equal(words[0], 0x55105940);
	assert_int_equal(sample_commit(&f->set, &f->err), 0);
	(void)get_file(f, "inventory.img", words, sizeof(words));
	assert_int_equal(words[0], 0x58313116);
	assert_int_equal(faccessat(f->dirfd, "inventory.img.new", F_OK, 0), -1);
}

/* The oldest sets have no common magic. */
static void one_magic_is_read_too(void **state)
{
	struct fixture *f = *state;
	const uint32_t words[] = { 0x64413049, 0 };
	SeccompEntry *read = NULL;

	put_file(f, "seccomp.img", words, sizeof(words));
	assert_int_equal(image_read_one(&f->set, IMAGE_SECCOMP, 0, &seccomp_entry__descriptor, &read, &f->err), 0);
	image_message_free(read);
}

static void empty_list_removes_stale_file(void **state)
{
	struct fixture *f = *state;
	struct image_writer w = IMAGE_WRITER_INIT;
	struct image_list list;

	put_file(f, "filelocks.img", "old", 3);
	image_writer_open(&w, &f->set, IMAGE_FILELOCKS, 0);
	assert_int_equal(image_writer_finish(&w, &f->err), 0);
	assert_int_equal(faccessat(f->dirfd, "filelocks.img", F_OK, 0), -1);
	assert_int_equal(
	    image_read_list(&f->set, IMAGE_FILELOCKS, 0, image_type(IMAGE_FILELOCKS)->message, &list, &f->err), 0);
	assert_int_equal(list.count, 0);
	assert_false(error_is_set(&f->err));
	image_list_done(&list);
}

static void write_pipes(struct fixture *f, size_t payload)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	AUTO_FREE char *data = calloc(1, payload + 1);
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;

	image_writer_open(&w, &f->set, IMAGE_PIPES_DATA, 0);
	for (uint32_t i = 1; i <= 3; i++) {
		memset(data, 'a' + (int)i, payload);
		entry.pipe_id = i;
		entry.bytes = (uint32_t)payload;
		assert_int_equal(image_writer_add_payload(&w, &entry, data, payload, &f->err), 0);
	}
	assert_int_equal(image_writer_finish(&w, &f->err), 0);
}

static int read_pipes(struct fixture *f, uint32_t *ret_count)
{
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	int r = image_reader_open(&reader, &f->set, IMAGE_PIPES_DATA, 0, &f->err);

	*ret_count = 0;
	while (r >= 0) {
		AUTO_MESSAGE PipeDataEntry *entry = NULL;
		const void *data;

		r = image_reader_next(&reader, &pipe_data_entry__descriptor, &entry, &f->err);
		if (r <= 0)
			break;
		r = image_reader_payload(&reader, entry->bytes, &data, &f->err);
		if (r == 0 && entry->bytes)
			assert_int_equal(((const char *)data)[entry->bytes - 1], 'a' + (int)entry->pipe_id);
		(*ret_count)++;
	}
	return r;
}

/* Below, at and above the size of the reader's window. */
static void payloads_of_all_sizes(void **state)
{
	struct fixture *f = *state;
	const size_t sizes[] = { 0, 1, 4096, (256 << 10) - 1, 256 << 10, 1 << 20 };
	uint32_t count;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		write_pipes(f, sizes[i]);
		assert_int_equal(read_pipes(f, &count), 0);
		assert_int_equal(count, 3);
	}
}

static void skipped_payload_has_a_place(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	PipeDataEntry *entry;
	uint64_t offset;
	char byte;

	write_pipes(f, 100000);
	assert_int_equal(image_reader_open(&reader, &f->set, IMAGE_PIPES_DATA, 0, &f->err), 0);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(image_reader_next(&reader, &pipe_data_entry__descriptor, &entry, &f->err), 1);
		assert_int_equal(image_reader_skip(&reader, entry->bytes, &offset, &f->err), 0);
		assert_int_equal(pread_all(reader.fd, &byte, 1, offset + entry->bytes - 1), 0);
		assert_int_equal(byte, 'a' + (int)i);
		image_message_free(entry);
	}
	assert_int_equal(image_reader_left(&reader), 0);
}

/* Cut at every byte: either at the end of a record with its payload, or an error with a sentence. */
static void truncation_is_never_silent(void **state)
{
	struct fixture *f = *state;
	char whole[256];
	size_t bytes;
	uint32_t count;

	write_pipes(f, 5);
	bytes = get_file(f, "pipes-data.img", whole, sizeof(whole));
	for (size_t cut = 0; cut < bytes; cut++) {
		bool is_boundary = cut >= 8 && (cut - 8) % ((bytes - 8) / 3) == 0;
		int r;

		put_file(f, "pipes-data.img", whole, cut);
		f->err = (struct error){ 0 };
		r = read_pipes(f, &count);
		if (is_boundary) {
			assert_int_equal(r, 0);
			continue;
		}
		assert_int_equal(r, -EBADMSG);
		assert_non_null(strstr(f->err.text, "pipes-data.img: "));
		assert_non_null(strstr(f->err.text, "truncated"));
	}
}

static void wrong_magic_names_both_kinds(void **state)
{
	struct fixture *f = *state;
	const uint32_t pstree[] = { 0x54564319, 0x50273030 }, garbage[] = { 0x54564319, 0x12345678 };
	struct image_list list;

	put_file(f, "files.img", pstree, sizeof(pstree));
	assert_int_equal(image_read_list(&f->set, IMAGE_FILES, 0, &file_entry__descriptor, &list, &f->err), -EBADMSG);
	assert_string_equal(f->err.text, "files.img: holds a pstree image, not a files image");
	f->err = (struct error){ 0 };
	put_file(f, "files.img", garbage, sizeof(garbage));
	assert_int_equal(image_read_list(&f->set, IMAGE_FILES, 0, &file_entry__descriptor, &list, &f->err), -EBADMSG);
	assert_string_equal(f->err.text, "files.img: not a files image (magic 0x12345678)");
}

static void bytes_behind_the_only_record(void **state)
{
	struct fixture *f = *state;
	const uint32_t words[] = { 0x54564319, 0x64413049, 0, 0 };
	SeccompEntry *read;

	put_file(f, "seccomp.img", words, sizeof(words));
	assert_int_equal(image_read_one(&f->set, IMAGE_SECCOMP, 0, &seccomp_entry__descriptor, &read, &f->err),
			 -EBADMSG);
}

static void absent_file_is_no_error(void **state)
{
	struct fixture *f = *state;
	SeccompEntry *read;

	assert_int_equal(image_read_one(&f->set, IMAGE_SECCOMP, 0, &seccomp_entry__descriptor, &read, &f->err),
			 -ENOENT);
	assert_false(error_is_set(&f->err));
	assert_int_equal(image_read_required(&f->set, IMAGE_CORE, 7, &core_entry__descriptor, &read, &f->err),
			 -EBADMSG);
	assert_string_equal(f->err.text, "core-7.img is missing");
}

static void fifo_and_directory_are_refused(void **state)
{
	struct fixture *f = *state;
	SeccompEntry *read;

	assert_int_equal(mkfifoat(f->dirfd, "seccomp.img", 0600), 0);
	assert_int_equal(image_read_one(&f->set, IMAGE_SECCOMP, 0, &seccomp_entry__descriptor, &read, &f->err),
			 -EBADMSG);
	assert_string_equal(f->err.text, "seccomp.img is not a regular file");
}

static void foreign_message_is_refused(void **state)
{
	struct fixture *f = *state;
	SeccompEntry entry = SECCOMP_ENTRY__INIT;

	assert_int_equal(image_write_one(&f->set, IMAGE_CORE, 1, &entry, &f->err), -EINVAL);
	assert_int_equal(faccessat(f->dirfd, "core-1.img", F_OK, 0), -1);
}

static void packed_numbers_are_accepted(void **state)
{
	/* pid 1, ppid 2, pgid 3, sid 4, threads packed: 5, 300 */
	const uint8_t wire[] = { 8, 1, 16, 2, 24, 3, 32, 4, 42, 3, 5, 0xac, 2 };
	const char *reason = NULL;
	PstreeEntry *entry = NULL;

	assert_int_equal(image_message_decode(&pstree_entry__descriptor, wire, sizeof(wire), NULL, &entry, &reason), 0);
	assert_int_equal(entry->n_threads, 2);
	assert_int_equal(entry->threads[0], 5);
	assert_int_equal(entry->threads[1], 300);
	image_message_free(entry);
}

static void string_with_zero_byte_is_refused(void **state)
{
	const uint8_t wire[] = { 10, 3, 'a', 0, 'b', 18, 0 };
	const char *reason = NULL;
	AaPolicy *policy = NULL;

	assert_int_equal(image_message_decode(&aa_policy__descriptor, wire, sizeof(wire), NULL, &policy, &reason),
			 -EBADMSG);
	assert_string_equal(reason, "a zero byte inside a string");
}

static void missing_required_field_is_refused(void **state)
{
	const uint8_t wire[] = { 8, 1 };
	const char *reason = NULL;
	PstreeEntry *entry = NULL;

	assert_int_equal(image_message_decode(&pstree_entry__descriptor, wire, sizeof(wire), NULL, &entry, &reason),
			 -EBADMSG);
	assert_string_equal(reason, "a required field is missing");
}

/* A message in a message in a message ... would take protobuf-c down. */
static void endless_nesting_is_refused(void **state)
{
	enum { LEVELS = 50000, ROOM = LEVELS * 5 };
	uint8_t *wire = malloc(ROOM);
	size_t at = ROOM;
	const char *reason = NULL;
	ApparmorEntry *entry = NULL;

	for (int level = 0; level < LEVELS && at > 5; level++) {
		uint32_t bytes = (uint32_t)(ROOM - at);
		uint8_t head[5] = { 26, (uint8_t)(bytes | 0x80), (uint8_t)(bytes >> 7 | 0x80),
				    (uint8_t)(bytes >> 14 & 0x7f) };

		at -= 4;
		memcpy(wire + at, head, 4);
	}
	wire[at] = 10;
	assert_int_equal(image_message_decode(&apparmor_entry__descriptor, wire + at, ROOM - at, NULL, &entry, &reason),
			 -EBADMSG);
	assert_string_equal(reason, "messages nested too deep");
	free(wire);
}

static int created_count;

static void note_created(void *ctx, const char *name)
{
	struct fixture *f = ctx;

	created_count++;
	assert_int_equal(faccessat(f->dirfd, name, F_OK, 0), -1);
}

static void files_are_told_before_they_exist(void **state)
{
	struct fixture *f = *state;
	SeccompEntry entry = SECCOMP_ENTRY__INIT;
	int fd;

	f->set.created = note_created;
	f->set.created_ctx = f;
	created_count = 0;
	assert_int_equal(image_write_one(&f->set, IMAGE_SECCOMP, 0, &entry, &f->err), 0);
	assert_int_equal(image_create_raw(&f->set, IMAGE_PAGES, 1, &fd, &f->err), 0);
	close(fd);
	assert_int_equal(created_count, 2);
	assert_int_equal(faccessat(f->dirfd, "seccomp.img", F_OK, 0), 0);
}

static void finished_set_is_not_overwritten(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set again = IMAGE_SET_INIT, replace = IMAGE_SET_INIT, unfinished = IMAGE_SET_INIT;

	assert_int_equal(sample_commit(&f->set, &f->err), 0);
	assert_int_equal(faccessat(f->dirfd, "inventory.img", F_OK, 0), 0);
	assert_int_equal(image_set_create(&again, f->dirfd, NULL, 0, &f->err), -EEXIST);
	assert_true(f->err.hint[0] != '\0');
	f->err = (struct error){ 0 };
	assert_int_equal(image_set_create(&replace, f->dirfd, NULL, IMAGE_SET_REPLACE, &f->err), 0);
	assert_int_equal(image_set_open(&unfinished, AT_FDCWD, f->path, &f->err), -ENOENT);
	assert_non_null(strstr(f->err.text, "is unfinished or not an image set: no inventory.img"));
}

static void two_writers_do_not_finish_one_set(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set other = IMAGE_SET_INIT;

	assert_int_equal(image_set_create(&other, f->dirfd, NULL, 0, &f->err), 0);
	assert_int_equal(sample_commit(&f->set, &f->err), 0);
	assert_int_equal(sample_commit(&other, &f->err), -EEXIST);
}

static void full_file_system_is_said(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(image_write_error(&f->set, "core-1.img", -ENOSPC, &f->err), -ENOSPC);
	assert_non_null(strstr(f->err.text, "cannot write core-1.img: the file system of "));
	assert_non_null(strstr(f->err.text, " is full"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_lead_back_to_kinds),
		TEST(one_record_has_two_magics),
		TEST(other_framings),
		TEST(one_magic_is_read_too),
		TEST(empty_list_removes_stale_file),
		TEST(payloads_of_all_sizes),
		TEST(skipped_payload_has_a_place),
		TEST(truncation_is_never_silent),
		TEST(wrong_magic_names_both_kinds),
		TEST(bytes_behind_the_only_record),
		TEST(absent_file_is_no_error),
		TEST(fifo_and_directory_are_refused),
		TEST(foreign_message_is_refused),
		cmocka_unit_test(packed_numbers_are_accepted),
		cmocka_unit_test(string_with_zero_byte_is_refused),
		cmocka_unit_test(missing_required_field_is_refused),
		cmocka_unit_test(endless_nesting_is_refused),
		TEST(files_are_told_before_they_exist),
		TEST(finished_set_is_not_overwritten),
		TEST(two_writers_do_not_finish_one_set),
		TEST(full_file_system_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
