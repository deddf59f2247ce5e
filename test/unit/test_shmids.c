/* Shared memory objects: found by device and inode number, and each with a number of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mm/shmids.h"

#define TMPFS     1
#define HUGETLBFS 2
#define MANY      3000

static void test_empty(void **state)
{
	struct shmids shmids = { 0 };

	assert_int_equal(shmids_find(&shmids, TMPFS, 7), SHMIDS_NONE);
	shmids_done(&shmids);
}

static void test_same_inode_on_two_devices(void **state)
{
	struct shmids shmids = { 0 };
	uint32_t numbers[3];

	assert_int_equal(shmids_add(&shmids, TMPFS, 7), 0);
	assert_int_equal(shmids_find(&shmids, HUGETLBFS, 7), SHMIDS_NONE);
	assert_int_equal(shmids_add(&shmids, HUGETLBFS, 7), 0);
	assert_int_equal(shmids_add(&shmids, TMPFS, 8), 0);
	assert_int_equal(shmids_find(&shmids, TMPFS, 7), 0);
	assert_int_equal(shmids_find(&shmids, HUGETLBFS, 7), 1);
	assert_int_equal(shmids_find(&shmids, TMPFS, 8), 2);
	shmids_assign(&shmids, numbers);
	assert_int_equal(numbers[0], 7);
	assert_int_equal(numbers[1], UINT32_MAX);
	assert_int_equal(numbers[2], 8);
	shmids_done(&shmids);
}

/* A number that an object gets later as its own is not given away. */
static void test_numbers_at_the_top(void **state)
{
	struct shmids shmids = { 0 };
	uint32_t numbers[5];

	assert_int_equal(shmids_add(&shmids, TMPFS, 7), 0);
	assert_int_equal(shmids_add(&shmids, HUGETLBFS, 7), 0);
	assert_int_equal(shmids_add(&shmids, TMPFS, UINT32_MAX), 0);
	assert_int_equal(shmids_add(&shmids, TMPFS, (1ull << 32) + 7), 0);
	assert_int_equal(shmids_add(&shmids, TMPFS, UINT32_MAX - 2), 0);
	shmids_assign(&shmids, numbers);
	assert_int_equal(numbers[0], 7);
	assert_int_equal(numbers[1], UINT32_MAX - 1);
	assert_int_equal(numbers[2], UINT32_MAX);
	assert_int_equal(numbers[3], UINT32_MAX - 3);
	assert_int_equal(numbers[4], UINT32_MAX - 2);
	shmids_done(&shmids);
}

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void test_many(void **state)
{
	static uint32_t numbers[2 * MANY];
	struct shmids shmids = { 0 };

	for (size_t i = 0; i < 2 * MANY; i++)
		assert_int_equal(shmids_add(&shmids, i % 2 ? HUGETLBFS : TMPFS, 1 + i / 2 * 5), 0);
	for (size_t i = 0; i < 2 * MANY; i++)
		assert_int_equal(shmids_find(&shmids, i % 2 ? HUGETLBFS : TMPFS, 1 + i / 2 * 5), i);
	shmids_assign(&shmids, numbers);
	qsort(numbers, 2 * MANY, sizeof(*numbers), compare);
	for (size_t i = 1; i < 2 * MANY; i++)
		assert_true(numbers[i - 1] < numbers[i]);
	shmids_done(&shmids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_same_inode_on_two_devices),
		cmocka_unit_test(test_numbers_at_the_top),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
