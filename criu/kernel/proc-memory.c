#include "kernel/proc-memory.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "kernel/kernel-memory.h"

enum proc_memory_kind proc_memory_kind_of(const char *name)
{
	static const char *const bytes[] = { "mem", "environ", "auxv", "pagemap" };
	static const char *const lists[] = { "maps", "smaps", "smaps_rollup", "numa_maps" };

	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++)
		if (!strcmp(name, bytes[i]))
			return PROC_MEMORY_BYTES;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (!strcmp(name, lists[i]))
			return PROC_MEMORY_LIST;
	return PROC_MEMORY_NONE;
}

/* In what the kernel keeps for a list; since 6.17 within another structure. */
static int find_list_member(struct kernel_memory *km)
{
	const int direct = kernel_memory_offset(km, "proc_maps_private", "mm");
	int outer, inner;

	if (direct >= 0)
		return direct;
	outer = kernel_memory_offset(km, "proc_maps_private", "lock_ctx");
	inner = kernel_memory_offset(km, "proc_maps_locking_ctx", "mm");
	return outer < 0 || inner < 0 ? -EOPNOTSUPP : outer + inner;
}

int proc_memory_read(struct kernel_memory *km, uint64_t file, enum proc_memory_kind kind, uint64_t *ret_mm)
{
	uint64_t data, list;
	int member, r = KERNEL_MEMBER(km, file, "file", "private_data", &data);

	if (r < 0)
		return r;
	if (kind == PROC_MEMORY_BYTES) {
		*ret_mm = data;
		return 0;
	}
	member = find_list_member(km);
	r = member < 0 ? member : KERNEL_MEMBER(km, data, "seq_file", "private", &list);
	return r < 0 ? r : kernel_memory_read(km, list + (uint64_t)member, ret_mm, sizeof(*ret_mm));
}
