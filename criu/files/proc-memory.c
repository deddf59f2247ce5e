/*
 * Files below /proc/PID that show an address space: a restore opens them when the process has its memory, so they have
 * to be of that which it has now. What was opened before the process has executed its program shows nothing any more,
 * and would show more after a restore than it may.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "kernel/kernel-memory.h"
#include "kernel/proc-memory.h"

/* The process of the tree that the path leads to, by its pid or that of one of its threads. */
static const struct task *process_of(const struct dump *d, const char *link)
{
	const pid_t pid = strncmp(link, "/proc/", 6) == 0 ? (pid_t)strtol(link + 6, NULL, 10) : 0;

	if (pid <= 0)
		return NULL;
	for_each_task (d, task)
		for (size_t i = 0; i < task->thread_count && !task->is_zombie; i++)
			if (task->host_pid == pid || task->threads[i].tid == pid)
				return task;
	return NULL;
}

static int read_both(struct dump *d, const struct open_file *file, const struct task *task, enum proc_memory_kind kind,
		     uint64_t *ret_mm, uint64_t *ret_shown)
{
	struct kernel_memory *km;
	uint64_t address;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = kernel_memory_mm(km, task->pidfd, ret_mm);
	if (r == 0)
		r = open_file_address(d, file, km, &address);
	return r < 0 ? r : proc_memory_read(km, address, kind, ret_shown);
}

int proc_memory_look(struct dump *d, struct open_file *file, struct error *err)
{
	const struct task *task = file->fd >= 0 && !(file->flags & O_PATH) ? process_of(d, file->link) : NULL;
	const char *name = strrchr(file->link, '/');
	const enum proc_memory_kind kind = task && name ? proc_memory_kind_of(name + 1) : PROC_MEMORY_NONE;
	uint64_t mm = 0, shown = 0;
	char place[256];
	int r;

	if (kind == PROC_MEMORY_NONE)
		return 0;
	r = read_both(d, file, task, kind, &mm, &shown);
	if (r < 0) {
		log_warn("%s: whether it was opened before process %d has executed its program cannot be told: %s\n",
			 open_file_describe(file, place, sizeof(place)), task->host_pid, strerror(-r));
		return 0;
	}
	if (mm == shown)
		return 0;
	error_hint(err, "have the program close it before the dump");
	return open_file_refuse(
	    file, err,
	    "was opened before process %d has executed its program: it shows nothing, and would show "
	    "that program's memory after a restore",
	    task->host_pid);
}
