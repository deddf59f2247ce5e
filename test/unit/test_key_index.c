/* The index by number: several things of one number, absent ones, growth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/key-index.h"

#define KEYS  700
#define TIMES 3

static void test_empty(void **state)
{
	AUTO_KEY_INDEX struct key_index index = { 0 };

	assert_true(key_index_first(&index, 0) == KEY_INDEX_END);
}

/* Neighbours and multiples of a power of two, 0 among them. */
static uint64_t key_of(size_t i)
{
	return i % 2 ? i : (uint64_t)i << 40;
}

static void test_all_of_a_key(void **state)
{
	AUTO_KEY_INDEX struct key_index index = { 0 };
	bool seen[KEYS * TIMES] = { false };

	for (size_t i = 0; i < KEYS * TIMES; i++)
		assert_int_equal(key_index_add(&index, key_of(i % KEYS), i), 0);
	for (size_t i = 0; i < KEYS; i++) {
		size_t count = 0;

		for (size_t at = key_index_first(&index, key_of(i)); at != KEY_INDEX_END;
		     at = key_index_next(&index, at)) {
			size_t place = key_index_place(&index, at);

			assert_true(place < KEYS * TIMES && place % KEYS == i && !seen[place]);
			seen[place] = true;
			count++;
		}
		assert_int_equal(count, TIMES);
	}
	assert_true(key_index_first(&index, UINT64_MAX) == KEY_INDEX_END);
	assert_true(key_index_first(&index, 2) == KEY_INDEX_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_all_of_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
