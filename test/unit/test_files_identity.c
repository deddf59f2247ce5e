/* Telling duplicates of one open file from files that only look alike; and who opens a file that several tasks have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "engine/restore.h"
#include "files/registry.h"
#include "files/restore-files.h"

/* --- identity ----------------------------------------------------------------------------------------------------- */

/* What stands for the kernel's struct file is kept in owner.pid; its order is as arbitrary as that of kcmp. */
static size_t comparisons;

static int compare_fake(const struct open_file *a, const struct open_file *b, int *ret_order)
{
	uint32_t x = (uint32_t)a->owner.pid * 2654435761u, y = (uint32_t)b->owner.pid * 2654435761u;

	comparisons++;
	*ret_order = x < y ? -1 : x > y;
	return 0;
}

static int identify_fake(struct dump *d, struct open_file **files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		files[i]->serial = (uint64_t)files[i]->owner.pid;
	return 0;
}

static int identify_never(struct dump *d, struct open_file **files, size_t count)
{
	return -1;
}

struct sample {
	struct open_file *files, **list;
	size_t *first;
	size_t count;
};

/* looks: into how many groups that look alike; descriptions: how many there are in all. */
static struct sample make_sample(size_t count, size_t looks, size_t descriptions)
{
	struct sample s = {
		.files = calloc(count, sizeof(*s.files)),
		.list = calloc(count, sizeof(*s.list)),
		.first = calloc(count, sizeof(*s.first)),
		.count = count,
	};
	uint32_t random = 12345;

	for (size_t i = 0; i < count; i++) {
		random = random * 1664525 + 1013904223;
		s.files[i].owner.pid = (pid_t)((random >> 8) % descriptions);
		s.files[i].st.st_ino = (ino_t)s.files[i].owner.pid % looks;
		s.list[i] = &s.files[i];
	}
	return s;
}

static void check_sample(const struct sample *s)
{
	for (size_t i = 0; i < s->count; i++) {
		size_t expected = 0;

		while (s->files[expected].owner.pid != s->files[i].owner.pid)
			expected++;
		assert_int_equal(s->first[i], expected);
	}
}

static void free_sample(struct sample *s)
{
	free(s->files);
	free(s->list);
	free(s->first);
}

static void test_duplicates(void **state)
{
	static const struct {
		size_t count, looks, descriptions;
	} cases[] = { { 0, 1, 1 },     { 1, 1, 1 },    { 2, 1, 1 },      { 200, 1, 1 },
		      { 200, 1, 200 }, { 300, 7, 50 }, { 300, 300, 300 } };
	static const struct file_order order = { .compare = compare_fake };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sample s = make_sample(cases[i].count, cases[i].looks, cases[i].descriptions);

		assert_int_equal(identity_resolve(NULL, s.list, s.count, &order, s.first), 0);
		check_sample(&s);
		free_sample(&s);
	}
}

static void test_only_candidates_are_compared(void **state)
{
	static const struct file_order order = { .compare = compare_fake };
	struct sample s = make_sample(2000, 1, 2000);

	comparisons = 0;
	assert_int_equal(identity_resolve(NULL, s.list, s.count, &order, s.first), 0);
	assert_true(comparisons < 2000 * 11);
	for (size_t i = 0; i < s.count; i++)
		s.files[i].pos = i;
	comparisons = 0;
	assert_int_equal(identity_resolve(NULL, s.list, s.count, &order, s.first), 0);
	assert_int_equal(comparisons, 0);
	free_sample(&s);
}

static void test_many_are_identified_otherwise(void **state)
{
	static const struct file_order order = { .compare = compare_fake, .identify = identify_fake };
	static const struct file_order without = { .compare = compare_fake, .identify = identify_never };
	struct sample s = make_sample(3000, 1, 2500);

	comparisons = 0;
	assert_int_equal(identity_resolve(NULL, s.list, s.count, &order, s.first), 0);
	assert_int_equal(comparisons, 0);
	check_sample(&s);
	for (size_t i = 0; i < s.count; i++)
		s.files[i].serial = 0;
	assert_int_equal(identity_resolve(NULL, s.list, s.count, &without, s.first), 0);
	assert_true(comparisons > 0);
	check_sample(&s);
	free_sample(&s);
}

/* --- owners ------------------------------------------------------------------------------------------------------- */

/*
 *	0 -- 1 -- 2 -- 3
 *	|    `--- 4
 *	`--- 5 (helper) -- 6
 *	          `------- 7
 */
static void make_tree(struct restore_task tasks[8])
{
	static const int creators[8] = { -1, 0, 1, 2, 1, 0, 5, 5 };

	memset(tasks, 0, 8 * sizeof(tasks[0]));
	for (int i = 1; i < 8; i++)
		tasks[i].creator = &tasks[creators[i]];
	tasks[5].is_helper = true;
}

static void test_common_ancestor(void **state)
{
	static const int expected[][3] = { { 0, 0, 0 }, { 3, 4, 1 }, { 3, 2, 2 }, { 1, 3, 1 },
					   { 3, 6, 0 }, { 6, 7, 5 }, { 7, 7, 7 } };
	struct restore_task tasks[8];

	make_tree(tasks);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		struct restore_task *a = &tasks[expected[i][0]], *b = &tasks[expected[i][1]];

		assert_ptr_equal(restore_common_ancestor(a, b), &tasks[expected[i][2]]);
		assert_ptr_equal(restore_common_ancestor(b, a), &tasks[expected[i][2]]);
	}
	assert_ptr_equal(restore_common_ancestor(NULL, &tasks[3]), &tasks[3]);
}

static void test_owner_of_users(void **state)
{
	struct restore_task tasks[8];
	struct restore_file file = { 0 };

	make_tree(tasks);
	restore_add_user(NULL, &file, &tasks[6]);
	assert_ptr_equal(file.owner, &tasks[6]);
	assert_false(file.is_shared);
	restore_add_user(NULL, &file, &tasks[6]);
	assert_false(file.is_shared);
	restore_add_user(NULL, &file, &tasks[7]);
	assert_true(file.is_shared);
	assert_ptr_equal(file.owner, &tasks[0]); /* a helper opens nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_only_candidates_are_compared),
		cmocka_unit_test(test_many_are_identified_otherwise),
		cmocka_unit_test(test_common_ancestor),
		cmocka_unit_test(test_owner_of_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
