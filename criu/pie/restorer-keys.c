/*
 * Protection keys. All are allocated while mappings are put under them: a key that is free cannot be used, and mappings
 * may be under one that was given back meanwhile. The kernel takes the lowest that is free: for that its own is made
 * the only one.
 */
#include "pie/restorer-keys.h"

#include <linux/mman.h>

#include "pie/restorer-report.h"

#define PAGE_SIZE     4096ull
#define KEYS          16
#define ERROR_NOSPACE 28

void open_keys(const struct restorer_task *task)
{
	if (task->sets_keys)
		__asm__ volatile(".byte 0x0f, 0x01, 0xef" /* wrpkru */ : : "a"(0), "c"(0), "d"(0) : "memory");
}

void allocate_keys(struct restorer_task *task)
{
	uint32_t allocated = 1;
	long result = 0;

	if (!task->sets_keys)
		return;
	enter(task, STEP_KEYS);
	open_keys(task);
	while (result >= 0 && result < KEYS) {
		allocated |= 1u << result;
		result = SYS2(__NR_pkey_alloc, 0, 0);
	}
	if (result != -ERROR_NOSPACE)
		fail(task, result, allocated, 0);
	if ((task->keys | 1u << task->execute_only_key) & ~allocated)
		fail(task, result, task->keys, 0);
	task->keys_to_free = allocated & ~task->keys;
}

static void free_key(struct restorer_task *task, uint32_t key)
{
	check(task, SYS1(__NR_pkey_free, key), key);
	task->keys_to_free &= ~(1u << key);
}

static void let_kernel_take_key(struct restorer_task *task)
{
	long page;

	free_key(task, task->execute_only_key);
	page = SYS6(__NR_mmap, 0, PAGE_SIZE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(task, page < 0 && page > -4096 ? page : 0, task->execute_only_key);
	check(task, SYS2(__NR_munmap, page, PAGE_SIZE), task->execute_only_key);
}

void free_keys(struct restorer_task *task)
{
	if (!task->sets_keys)
		return;
	enter(task, STEP_KEYS);
	if (task->execute_only_key)
		let_kernel_take_key(task);
	for (uint32_t key = 1; key < KEYS; key++)
		if (task->keys_to_free & 1u << key)
			free_key(task, key);
}
