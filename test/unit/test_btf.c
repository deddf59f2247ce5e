/* Looking up the kernel's types (kernel/btf.h), in types made here: many of them, members without a name, cut short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/btf.h>
#include <string.h>

#include "kernel/btf.h"

enum { POINTERS = 1000, WORDS = 4096 };

static const char strings[] = "\0outer\0first\0second\0deep\0call\0other";

struct made {
	uint32_t words[WORDS];
	size_t count;
};

static uint32_t name_of(const char *name)
{
	for (size_t at = 1; at < sizeof(strings); at += strlen(strings + at) + 1)
		if (!strcmp(strings + at, name))
			return (uint32_t)at;
	return 0;
}

static void add_type(struct made *made, const char *name, uint32_t kind, uint32_t length, uint32_t size)
{
	made->words[made->count++] = name_of(name);
	made->words[made->count++] = kind << 24 | length;
	made->words[made->count++] = size;
}

static void add_member(struct made *made, const char *name, uint32_t type, uint32_t byte)
{
	made->words[made->count++] = name_of(name);
	made->words[made->count++] = type;
	made->words[made->count++] = byte * 8;
}

/*
 * A thousand pointers, then
 *	union { int deep; }				type 1001
 *	struct { int second; union of above; }		type 1002
 *	struct outer { int first; struct of above; }	type 1003
 *	call()						type 1004
 */
static struct btf make(struct made *made)
{
	memset(made, 0, sizeof(*made));
	for (int i = 0; i < POINTERS; i++)
		add_type(made, "", BTF_KIND_PTR, 0, 0);
	add_type(made, "", BTF_KIND_UNION, 1, 4);
	add_member(made, "deep", 1, 0);
	add_type(made, "", BTF_KIND_STRUCT, 2, 8);
	add_member(made, "second", 1, 0);
	add_member(made, "", POINTERS + 1, 4);
	add_type(made, "outer", BTF_KIND_STRUCT, 2, 12);
	add_member(made, "first", 1, 0);
	add_member(made, "", POINTERS + 2, 4);
	add_type(made, "call", BTF_KIND_FUNC, 0, 1);
	return (struct btf){
		.types = (const char *)made->words,
		.types_end = (const char *)&made->words[made->count],
		.strings = strings,
		.string_bytes = sizeof(strings),
	};
}

static void test_members(void **state)
{
	struct btf_offset wanted[] = {
		{ .structure = "outer", .member = "first" },  { .structure = "outer", .member = "second" },
		{ .structure = "outer", .member = "deep" },   { .structure = "outer", .member = "call" },
		{ .structure = "absent", .member = "first" }, { .structure = "other", .member = "first" },
	};
	struct made made;
	const struct btf btf = make(&made);

	btf_find_offsets(&btf, wanted, sizeof(wanted) / sizeof(wanted[0]));
	assert_int_equal(wanted[0].offset, 0);
	assert_int_equal(wanted[1].offset, 4);
	assert_int_equal(wanted[2].offset, 8);
	for (int i = 3; i < 6; i++)
		assert_int_equal(wanted[i].offset, -ENOENT);
	assert_int_equal(btf_structure_bytes(&btf, "outer"), 12);
	assert_int_equal(btf_structure_bytes(&btf, "call"), -ENOENT);
}

static void test_functions(void **state)
{
	struct made made;
	const struct btf btf = make(&made);

	assert_int_equal(btf_find_function(&btf, "call"), POINTERS + 4);
	assert_int_equal(btf_find_function(&btf, "outer"), -ENOENT);
}

/* Whatever is missing at the end, nothing behind it is read and nothing is found there. */
static void test_cut(void **state)
{
	struct made made;
	struct btf btf = make(&made);
	const char *const whole = btf.types_end;

	for (btf.types_end = btf.types; btf.types_end < whole; btf.types_end += 4) {
		assert_int_equal(btf_find_function(&btf, "call"), -ENOENT);
		if (whole - btf.types_end > 12)
			assert_true(btf_member_offset(&btf, "outer", "deep") < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_functions),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
