#include "kernel/aio-context.h"

#define LIMIT_TABLE (1u << 20) /* contexts of a process: more would be nonsense */

#define CONTEXT "kioctx"

int aio_context_find(struct kernel_memory *km, int pidfd, uint64_t ring, uint64_t *ret_context)
{
	int contexts = kernel_memory_offset(km, "kioctx_table", "table");
	uint64_t mm = 0, table = 0, context = 0, at = 0;
	uint32_t count = 0;
	int r = contexts < 0 ? contexts : kernel_memory_mm(km, pidfd, &mm);

	*ret_context = 0;
	if (r == 0)
		r = KERNEL_MEMBER(km, mm, "mm_struct", "ioctx_table", &table);
	if (r < 0 || !table)
		return r;
	r = KERNEL_MEMBER(km, table, "kioctx_table", "nr", &count);
	for (uint32_t i = 0; r == 0 && i < count && i < LIMIT_TABLE; i++) {
		r = kernel_memory_read(km, table + (uint64_t)contexts + i * sizeof(context), &context, sizeof(context));
		if (r < 0 || !context)
			continue;
		r = KERNEL_MEMBER(km, context, CONTEXT, "user_id", &at);
		if (r == 0 && at == ring) {
			*ret_context = context;
			return 0;
		}
	}
	return r;
}

int aio_context_size(struct kernel_memory *km, uint64_t at, uint64_t *ret_bytes, uint32_t *ret_requests)
{
	int r = KERNEL_MEMBER(km, at, CONTEXT, "mmap_size", ret_bytes);

	return r < 0 ? r : KERNEL_MEMBER(km, at, CONTEXT, "max_reqs", ret_requests);
}

/* Of all slots but one, which tells a full ring from an empty one, those that are taken and not complete. */
int aio_context_in_flight(struct kernel_memory *km, uint64_t at, int64_t *ret_count)
{
	uint32_t slots = 0, complete = 0;
	int32_t available = 0;
	int64_t cached = 0;
	uint64_t percpu = 0;
	int r = KERNEL_MEMBER(km, at, CONTEXT, "nr_events", &slots);

	if (r == 0)
		r = KERNEL_MEMBER(km, at, CONTEXT, "completed_events", &complete);
	if (r == 0)
		r = KERNEL_MEMBER(km, at, CONTEXT, "reqs_available", &available);
	if (r == 0)
		r = KERNEL_MEMBER(km, at, CONTEXT, "cpu", &percpu);
	if (r == 0)
		r = kernel_memory_sum(km, percpu, &cached);
	if (r == 0)
		*ret_count = (int64_t)slots - 1 - available - cached - complete;
	return r;
}
