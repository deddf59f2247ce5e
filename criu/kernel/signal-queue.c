#include "kernel/signal-queue.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define SIGNALS    64
#define COUNT_MAX  1000000 /* more than any limit allows: a list that changes may lead anywhere */
#define INFO_BYTES 48      /* struct kernel_siginfo; programs are shown zeros behind it */

static int find_list(struct kernel_memory *km, uint64_t thread, bool shared, uint64_t *ret)
{
	const int offset = shared ? kernel_memory_offset(km, "signal_struct", "shared_pending.list")
				  : kernel_memory_offset(km, "task_struct", "pending.list");
	int r = 0;

	*ret = thread;
	if (shared)
		r = KERNEL_MEMBER(km, thread, "task_struct", "signal", ret);
	if (r < 0 || offset < 0)
		return r < 0 ? r : offset;
	*ret += (uint64_t)offset;
	return 0;
}

static int add(struct kernel_memory *km, uint64_t entry, struct siginfo_queue *queue, size_t *capacity)
{
	uint8_t info[SIGINFO_BYTES] = { 0 };
	int32_t signal;
	int r = kernel_memory_member(km, entry, "sigqueue", "info", info, INFO_BYTES);

	if (r < 0)
		return r;
	memcpy(&signal, info, sizeof(signal));
	if (signal < 1 || signal > SIGNALS || queue->count == COUNT_MAX)
		return -ESTALE;
	r = array_reserve(&queue->infos, capacity, queue->count, SIGINFO_BYTES);
	if (r == 0)
		memcpy(queue->infos[queue->count++], info, sizeof(info));
	return r;
}

int signal_queue_read(struct kernel_memory *km, uint64_t thread, bool shared, struct siginfo_queue *ret)
{
	const int within = kernel_memory_offset(km, "sigqueue", "list");
	struct siginfo_queue queue = { 0 };
	uint64_t list = 0, next = 0;
	size_t capacity = 0;
	int r = within < 0 ? within : find_list(km, thread, shared, &list);

	if (r == 0)
		r = kernel_memory_read(km, list, &next, sizeof(next));
	while (r == 0 && next != list) {
		r = add(km, next - (uint64_t)within, &queue, &capacity);
		if (r == 0)
			r = kernel_memory_read(km, next, &next, sizeof(next));
	}
	if (r < 0)
		siginfo_queue_done(&queue);
	else
		*ret = queue;
	return r;
}
