#include "kernel/semaphore-list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_SETS       (1u << 16) /* more would be nonsense */
#define LIMIT_SEMAPHORES (1u << 16)

/* A line for each set behind the head. */
bool semaphore_table_has_sets(const char *table)
{
	const char *line = strchr(table, '\n');

	return line && line[1];
}

int semaphore_list_of_thread(struct kernel_memory *km, uint64_t thread, uint64_t *ret_list)
{
	return KERNEL_MEMBER(km, thread, "task_struct", "sysvsem", ret_list);
}

/* How many semaphores a set has, 0 when there is no such set. */
static uint32_t count_semaphores(const char *table, int32_t set)
{
	for (const char *line = strchr(table, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
		uint32_t count;
		int32_t id;

		if (sscanf(line + 1, "%*d %d %*o %u", &id, &count) == 2 && id == set)
			return count;
	}
	return 0;
}

/* An array behind the structure; in older kernels a pointer to one. */
static int find_values(struct kernel_memory *km, uint64_t undo, uint64_t *ret_values)
{
	const int offset = kernel_memory_offset(km, "sem_undo", "semadj");
	const int bytes = kernel_memory_bytes(km, "sem_undo");

	if (offset < 0 || bytes < 0)
		return offset < 0 ? offset : bytes;
	*ret_values = undo + (uint64_t)offset;
	return offset + (int)sizeof(*ret_values) > bytes
		   ? 0
		   : kernel_memory_read(km, *ret_values, ret_values, sizeof(*ret_values));
}

static int look_at_set(struct kernel_memory *km, uint64_t undo, const char *table, struct semaphore_adjustment *ret)
{
	uint64_t values = 0;
	uint32_t count;
	int r = KERNEL_MEMBER(km, undo, "sem_undo", "semid", &ret->set);

	if (r == 0)
		r = find_values(km, undo, &values);
	if (r < 0)
		return r;
	count = count_semaphores(table, ret->set);
	if (count > LIMIT_SEMAPHORES)
		return -ERANGE;
	for (uint32_t i = 0; r == 0 && i < count && !ret->value; i++) {
		ret->semaphore = i;
		r = kernel_memory_read(km, values + i * sizeof(ret->value), &ret->value, sizeof(ret->value));
	}
	return r;
}

int semaphore_list_look(struct kernel_memory *km, uint64_t list, const char *table, struct semaphore_adjustment *ret)
{
	const int head = kernel_memory_offset(km, "sem_undo_list", "list_proc");
	const int link = kernel_memory_offset(km, "sem_undo", "list_proc");
	uint64_t at = 0;
	int r = head < 0 || link < 0 ? -ENOENT : kernel_memory_read(km, list + (uint64_t)head, &at, sizeof(at));

	for (unsigned i = 0; r == 0 && at != list + (uint64_t)head && !ret->value; i++) {
		r = i < LIMIT_SETS ? look_at_set(km, at - (uint64_t)link, table, ret) : -ELOOP;
		if (r == 0)
			r = kernel_memory_read(km, at, &at, sizeof(at));
	}
	return r;
}
