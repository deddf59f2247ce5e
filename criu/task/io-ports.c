#include "task/io-ports.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/kernel-memory.h"
#include "kernel/thread-facts.h"
#include "pie/parasite-border.h"
#include "task/task-look.h"

#define IMPOSSIBLE_LEVEL 4

static bool may_raise_level(const struct task_thread *thread)
{
	return thread->status.cap_eff & 1ull << CAP_SYS_RAWIO;
}

static int read_level(struct kernel_memory *km, const uint64_t *threads, size_t count, struct task_thread *thread)
{
	const int within = kernel_memory_offset(km, "task_struct", "thread");
	uint64_t address = 0, level = 0;
	int r = within < 0 ? within : kernel_memory_find_thread(km, threads, count, thread->tid, &address);

	if (r == 0)
		r = kernel_memory_member(km, address + (uint64_t)within, "thread_struct", "iopl_emul", &level,
					 sizeof(level));
	if (r == 0)
		thread->state->port_level = (int)level;
	return r;
}

/* Threads that are like the first one have its level. */
static int look_at_task(struct dump *d, const struct task *task)
{
	AUTO_FREE uint64_t *threads = NULL;
	struct kernel_memory *km;
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < task->thread_count && r == 0; i++) {
		struct task_thread *thread = &task->threads[i];

		if (task->thread_facts)
			thread->state->port_level = (int)task->thread_facts[i].likeness.port_level;
		else if (may_raise_level(thread)) {
			r = threads ? 0 : dump_kernel_memory(d, &km);
			if (r == 0 && !threads)
				r = kernel_memory_threads(km, task->pidfd, &threads, &count);
			if (r == 0)
				r = read_level(km, threads, count, thread);
		}
	}
	return r;
}

void io_ports_look(struct dump *d)
{
	const bool is_known_to_kernel = syscall(SYS_iopl, IMPOSSIBLE_LEVEL) < 0 && errno != ENOSYS;

	for_each_task (d, task) {
		int r;

		if (task->is_zombie || !task->state)
			continue;
		for (size_t i = 0; i < task->thread_count; i++)
			task->threads[i].state->port_level = is_known_to_kernel && !task->threads[i].facts_own ? -1 : 0;
		r = is_known_to_kernel ? look_at_task(d, task) : 0;
		if (r < 0)
			log_warn(TASK_FORMAT ": whether it may use all I/O ports (iopl) cannot be told: %s",
				 TASK_ARGS(task), strerror(-r));
	}
}

unsigned int io_ports_level(const struct task_thread *thread)
{
	if (thread->state->port_level >= 0)
		return (unsigned int)thread->state->port_level;
	return thread->parasite->port_level > 0 && !may_raise_level(thread) ? (unsigned int)thread->parasite->port_level
									    : 0;
}
