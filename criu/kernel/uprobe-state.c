#include "kernel/uprobe-state.h"

#include "base/cleanup.h"

#define MM_HAS_UPROBES (1ull << 19) /* MMF_HAS_UPROBES */

int uprobe_state_traced_returns(struct kernel_memory *km, int pidfd, unsigned int *ret_threads)
{
	AUTO_FREE uint64_t *threads = NULL;
	unsigned int found = 0;
	size_t count = 0;
	int r = kernel_memory_threads(km, pidfd, &threads, &count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		uint64_t state = 0, instances = 0;

		r = KERNEL_MEMBER(km, threads[i], "task_struct", "utask", &state);
		if (r == 0 && state)
			r = KERNEL_MEMBER(km, state, "uprobe_task", "return_instances", &instances);
		found += instances != 0;
	}
	if (r == 0)
		*ret_threads = found;
	return r;
}

int uprobe_state_is_marked(struct kernel_memory *km, int pidfd, bool *ret)
{
	uint64_t mm = 0, flags = 0;
	int r = kernel_memory_mm(km, pidfd, &mm);

	if (r == 0)
		r = KERNEL_MEMBER(km, mm, "mm_struct", "flags", &flags);
	if (r == 0)
		*ret = flags & MM_HAS_UPROBES;
	return r;
}
