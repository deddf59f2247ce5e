/* One row for each state that only this program brings back and no program can do without. */
#include "task/other-readers.h"

#include <linux/prctl.h>
#include <signal.h>
#include <string.h>

#include "arch/x86/ldt.h"
#include "arch/x86/xstate.h"
#include "base/util.h"
#include "engine/dump.h"
#include "mm/protection-keys.h"
#include "pie/parasite-border.h"
#include "task/core-save.h"
#include "task/io-ports.h"
#include "task/task-look.h"

/* Segments of its own: a selector without its descriptor is a fault. */
static bool has_segments(const struct task *task)
{
	return !task->is_zombie && ldt_used_bytes(task->state->ldt, task->state->ldt_bytes) != 0;
}

/* Whom its end is told to, and how it is waited for, depends on it. The root's parent is the restorer. */
static bool has_exit_signal(const struct task *task)
{
	return task->parent && task->stat.exit_signal != SIGCHLD;
}

/* It would come at the end of the parent's first thread. */
static bool has_signal_of_thread(const struct task *task)
{
	return task->parent && !task->is_zombie && task->maker_tid != task->parent->host_pid &&
	       switches_death_signal(task) != 0;
}

/* Its next use of tiles would end it. */
static bool may_use_tiles(const struct task *task)
{
	return !task->is_zombie && xstate_requested_components(task->parasite->state_components) != 0;
}

/* Two processes with one memory. */
static bool waits_in_vfork(const struct task *task)
{
	return task->vfork_child != NULL;
}

static bool catches_calls(const struct task_thread *thread)
{
	return thread->state->user_dispatch.mode != 0;
}

static bool catches_time_stamps(const struct task_thread *thread)
{
	return thread->parasite->tsc_mode == PR_TSC_SIGSEGV;
}

static bool catches_cpuid(const struct task_thread *thread)
{
	return thread->parasite->cpuid == 0;
}

static bool may_use_ports(const struct task_thread *thread)
{
	return io_ports_level(thread) != 0;
}

static const struct need {
	const char *name;
	bool (*of_task)(const struct task *task);
	bool (*of_thread)(const struct task_thread *thread);
} needs[] = {
	{ "ldt", has_segments, NULL },
	{ "exit_signal", has_exit_signal, NULL },
	{ "death_signal_of_thread", has_signal_of_thread, NULL },
	{ "amx_permission", may_use_tiles, NULL },
	{ "protection_keys", protection_keys_are_needed, NULL },
	{ "syscall_user_dispatch", NULL, catches_calls },
	{ "tsc_faults", NULL, catches_time_stamps },
	{ "cpuid_faults", NULL, catches_cpuid },
	{ "io_privilege", NULL, may_use_ports },
	{ "vfork", waits_in_vfork, NULL },
};

_Static_assert(ARRAY_SIZE(needs) <= OTHER_READERS_NEEDS_MAX, "room for all names");

static bool is_needed_by(const struct need *need, const struct task *task)
{
	if (need->of_task)
		return need->of_task(task);
	for (size_t i = 0; !task->is_zombie && i < task->thread_count; i++)
		if (need->of_thread(&task->threads[i]))
			return true;
	return false;
}

static bool is_needed_by_any(const struct need *need, const struct dump *d)
{
	for_each_task (d, task)
		if (is_needed_by(need, task))
			return true;
	return false;
}

size_t other_readers_needs(const struct dump *d, const char *ret_names[OTHER_READERS_NEEDS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (is_needed_by_any(&needs[i], d))
			ret_names[count++] = needs[i].name;
	return count;
}

bool other_readers_is_need(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (!strcmp(needs[i].name, name))
			return true;
	return false;
}
