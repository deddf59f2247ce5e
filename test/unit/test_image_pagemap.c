/* Page maps: every form an entry may have, damage, and pages that are in parent sets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "image/pagemap.h"
#include "images/pagemap.pb-c.h"
#include "test_image_sample.h"

#define AT(page) (0x10000000ull + (page)*PAGE_BYTES)

struct fixture {
	char path[128];
	int dirfd;
	struct image_set set;
	struct image_writer w;
	struct error err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dirfd = sample_directory(f->path, sizeof(f->path));
	f->set = (struct image_set)IMAGE_SET_INIT;
	f->w = (struct image_writer)IMAGE_WRITER_INIT;
	*state = f;
	return f->dirfd < 0 ? -1 : image_set_create(&f->set, AT_FDCWD, f->path, 0, &f->err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	image_writer_done(&f->w);
	image_set_done(&f->set);
	close_fd(&f->dirfd);
	sample_remove(f->path);
	free(f);
	return 0;
}

static void begin(struct fixture *f)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;

	head.pages_id = 1;
	f->err = (struct error){ 0 };
	image_writer_done(&f->w);
	image_writer_open(&f->w, &f->set, IMAGE_PAGEMAP, 1);
	assert_int_equal(image_writer_add(&f->w, &head, &f->err), 0);
}

static void add(struct fixture *f, PagemapEntry entry)
{
	assert_int_equal(image_writer_add(&f->w, &entry, &f->err), 0);
}

static PagemapEntry entry_of(uint64_t vaddr, uint64_t nr_pages, uint32_t flags)
{
	PagemapEntry entry = PAGEMAP_ENTRY__INIT;

	entry.vaddr = vaddr;
	entry.has_nr_pages = true;
	entry.nr_pages = nr_pages;
	entry.has_flags = true;
	entry.flags = flags;
	return entry;
}

/* As many pages are in the pages file. */
static int load(struct fixture *f, size_t pages, struct pagemap **ret_map)
{
	int fd;

	assert_int_equal(image_writer_finish(&f->w, &f->err), 0);
	assert_int_equal(image_create_raw(&f->set, IMAGE_PAGES, 1, &fd, &f->err), 0);
	assert_int_equal(ftruncate(fd, (off_t)(pages * PAGE_BYTES)), 0);
	close(fd);
	return pagemap_load(&f->set, IMAGE_PAGEMAP, 1, ret_map, &f->err);
}

static void all_forms_become_one(void **state)
{
	struct fixture *f = *state;
	struct pagemap *map = NULL;
	PagemapEntry old = PAGEMAP_ENTRY__INIT;

	begin(f);
	old.vaddr = AT(0); /* neither flags nor in_parent: present, old count */
	old.compat_nr_pages = 2;
	add(f, old);
	add(f, entry_of(AT(5), 3, PAGEMAP_LAZY)); /* takes no place in the pages file */
	old.vaddr = AT(8);
	old.has_in_parent = true; /* false */
	add(f, old);
	add(f, entry_of(AT(10), 1, PAGEMAP_PRESENT | PAGEMAP_LAZY));
	assert_int_equal(load(f, 5, &map), 0);
	assert_int_equal(map->run_count, 4);
	assert_int_equal(map->present_pages, 5);
	assert_int_equal(map->runs[0].flags, PAGEMAP_PRESENT);
	assert_int_equal(map->runs[2].offset, 2 * PAGE_BYTES);
	assert_int_equal(map->runs[3].offset, 4 * PAGE_BYTES);
	assert_int_equal(map->extent_count, 4);
	assert_null(map->extents[1].source);
	assert_ptr_equal(map->extents[3].source, map);
	assert_int_equal(pagemap_find_extent(map, AT(6)), 1);
	assert_int_equal(pagemap_find_extent(map, AT(4)), 1);
	assert_true(pagemap_pages_fd(map, O_RDONLY, &f->err) >= 0);
	pagemap_free(map);
}

static void damage_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct {
		PagemapEntry first, second;
		const char *sentence;
		size_t pages;
	} cases[] = {
		{ entry_of(AT(0) + 1, 1, 4), entry_of(AT(9), 1, 4), "record 2 at byte 14: address 0x10000001" },
		{ entry_of(AT(0), 2, 4), entry_of(AT(1), 1, 4), "below the end of the entry before" },
		{ entry_of(AT(3), 1, 4), entry_of(AT(1), 1, 4), "below the end of the entry before" },
		{ entry_of(AT(0), 1, 4), entry_of(~0xfffull, 2, 4), "too many" },
		{ entry_of(AT(0), 1, 4), entry_of(AT(1), ~0ull, 4), "too many" },
		{ entry_of(AT(0), 0, 4), entry_of(AT(1), 1, 4), "without pages" },
		{ entry_of(AT(0), 1, 8), entry_of(AT(1), 1, 4), "unknown flags 0x8" },
		{ entry_of(AT(0), 1, 5), entry_of(AT(1), 1, 4), "do not say where the content is" },
		{ entry_of(AT(0), 1, 0), entry_of(AT(1), 1, 4), "do not say where the content is" },
		{ entry_of(AT(0), 9, 4), entry_of(AT(20), 2, 4), "pages-1.img is too short", 10 },
		{ entry_of(AT(0), 9, 4), entry_of(AT(20), 2, 4), "pages-1.img is too long", 12 },
		{ entry_of(AT(0), 9, 2), entry_of(AT(20), 2, 2), "pages-1.img is too long", 1 },
		{ entry_of(AT(0), 1, 4), entry_of(AT(1), 1, 1), "parent image set, which is not there", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pagemap *map = NULL;

		begin(f);
		add(f, cases[i].first);
		add(f, cases[i].second);
		assert_int_equal(load(f, cases[i].pages, &map), -EBADMSG);
		assert_non_null(strstr(f->err.text, cases[i].sentence));
		assert_null(map);
	}
}

static void writer_merges_neighbours(void **state)
{
	struct fixture *f = *state;
	AUTO_PAGEMAP_WRITER struct pagemap_writer w = PAGEMAP_WRITER_INIT;
	struct image_reader reader = IMAGE_READER_INIT;
	PagemapHead *head;
	PagemapEntry *entry;

	assert_int_equal(pagemap_writer_open(&w, &f->set, IMAGE_PAGEMAP, 1, 9, &f->err), 0);
	assert_int_equal(pagemap_writer_add(&w, AT(0), 2, PAGEMAP_PRESENT, &f->err), 0);
	assert_int_equal(pagemap_writer_add(&w, AT(2), 3, PAGEMAP_PRESENT, &f->err), 0);
	assert_int_equal(pagemap_writer_add(&w, AT(5), 1, PAGEMAP_PARENT, &f->err), 0);
	assert_int_equal(pagemap_writer_add(&w, AT(5), 1, PAGEMAP_PARENT, &f->err), -EINVAL);
	f->err = (struct error){ 0 };
	assert_int_equal(pagemap_writer_finish(&w, &f->err), 0);
	assert_int_equal(w.present_pages, 5);

	assert_int_equal(image_reader_open(&reader, &f->set, IMAGE_PAGEMAP, 1, &f->err), 0);
	assert_int_equal(image_reader_next(&reader, &pagemap_head__descriptor, &head, &f->err), 1);
	assert_int_equal(head->pages_id, 9);
	image_message_free(head);
	assert_int_equal(image_reader_next(&reader, &pagemap_entry__descriptor, &entry, &f->err), 1);
	assert_int_equal(entry->nr_pages, 5);
	assert_int_equal(entry->compat_nr_pages, 5);
	image_message_free(entry);
	assert_int_equal(image_reader_next(&reader, &pagemap_entry__descriptor, &entry, &f->err), 1);
	assert_int_equal(entry->flags, PAGEMAP_PARENT);
	image_message_free(entry);
	assert_int_equal(image_reader_next(&reader, &pagemap_entry__descriptor, &entry, &f->err), 0);
	image_reader_done(&reader);
}

/* Writes one set of a chain: runs are { first page, pages, flags }, ended by pages 0. */
static void write_level(const char *path, const uint32_t (*runs)[3])
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	AUTO_PAGEMAP_WRITER struct pagemap_writer w = PAGEMAP_WRITER_INIT;
	struct error err = { 0 };
	int fd;

	assert_int_equal(image_set_create(&set, AT_FDCWD, path, 0, &err), 0);
	assert_int_equal(pagemap_writer_open(&w, &set, IMAGE_PAGEMAP, 1, 1, &err), 0);
	for (; (*runs)[1]; runs++)
		assert_int_equal(pagemap_writer_add(&w, AT((*runs)[0]), (*runs)[1], (*runs)[2], &err), 0);
	assert_int_equal(pagemap_writer_finish(&w, &err), 0);
	assert_int_equal(image_create_raw(&set, IMAGE_PAGES, 1, &fd, &err), 0);
	assert_int_equal(ftruncate(fd, (off_t)(w.present_pages * PAGE_BYTES)), 0);
	close(fd);
}

static void parents_are_followed(void **state)
{
	struct fixture *f = *state;
	const uint32_t oldest[][3] = { { 0, 4, 4 }, { 4, 2, 4 }, { 8, 2, 4 }, { 0, 0, 0 } };
	const uint32_t middle[][3] = { { 0, 1, 1 }, { 1, 2, 4 }, { 3, 3, 1 }, { 8, 2, 1 }, { 0, 0, 0 } };
	const uint32_t newest[][3] = { { 0, 5, 1 }, { 5, 1, 4 }, { 9, 1, 1 }, { 0, 0, 0 } };
	struct pagemap *map = NULL;
	char a[160], b[160], link[200];

	(void)snprintf(a, sizeof(a), "%s-a", f->path);
	(void)snprintf(b, sizeof(b), "%s-b", f->path);
	assert_int_equal(mkdir(a, 0700), 0);
	assert_int_equal(mkdir(b, 0700), 0);
	write_level(a, oldest);
	write_level(b, middle);
	write_level(f->path, newest);
	(void)snprintf(link, sizeof(link), "%s/parent", b);
	assert_int_equal(symlink(a, link), 0);
	(void)snprintf(link, sizeof(link), "%s/parent", f->path);
	assert_int_equal(symlink(b, link), 0);

	assert_int_equal(pagemap_load(&f->set, IMAGE_PAGEMAP, 1, &map, &f->err), 0);
	/* page 0 from the oldest, 1-2 from the middle, 3-4 from the oldest, 5 its own, 9 from the oldest */
	assert_int_equal(map->extent_count, 5);
	assert_ptr_equal(map->extents[0].source, map->parent->parent);
	assert_ptr_equal(map->extents[1].source, map->parent);
	assert_int_equal(map->extents[1].nr_pages, 2);
	assert_int_equal(map->extents[2].nr_pages, 2);
	assert_int_equal(map->extents[2].offset, 3 * PAGE_BYTES);
	assert_ptr_equal(map->extents[3].source, map);
	assert_ptr_equal(map->extents[4].source, map->parent->parent);
	assert_int_equal(map->extents[4].offset, 7 * PAGE_BYTES);
	pagemap_free(map);
	sample_remove(a);
	sample_remove(b);
}

static void circle_of_parents_is_refused(void **state)
{
	struct fixture *f = *state;
	struct pagemap *map = NULL;

	begin(f);
	add(f, entry_of(AT(0), 1, PAGEMAP_PARENT));
	assert_int_equal(symlinkat(".", f->dirfd, "parent"), 0);
	assert_int_equal(load(f, 0, &map), -ELOOP);
	assert_non_null(strstr(f->err.text, "in a circle"));
}

static void dangling_parent_is_refused(void **state)
{
	struct fixture *f = *state;
	struct pagemap *map = NULL;

	begin(f);
	add(f, entry_of(AT(0), 1, PAGEMAP_PARENT));
	assert_int_equal(symlinkat("gone", f->dirfd, "parent"), 0);
	assert_int_equal(load(f, 0, &map), -ENOENT);
	assert_non_null(strstr(f->err.text, "leads nowhere"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(all_forms_become_one),         TEST(damage_is_refused),
		TEST(writer_merges_neighbours),     TEST(parents_are_followed),
		TEST(circle_of_parents_is_refused), TEST(dangling_parent_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
