/* Seccomp modes and filters of the threads of a tree. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "images/core.pb-c.h"
#include "task/task.h"

struct dump;
struct seccomp_filter;

/* What one thread is under. Filters are oldest first. */
struct thread_seccomp {
	int mode; /* 0 none, 1 strict, 2 filter */
	struct seccomp_filter *filters;
	size_t filter_count;
	uint32_t newest; /* index of the newest filter in seccomp.img */
	bool is_leaders; /* the leader's chain with TSYNC stands for it */
};

/* Look stage, in the tracer's thread: reads the chain; a filter that hands calls to a listener is refused by name. */
int seccomp_look(struct task *task, struct task_thread *thread, struct error *err);

/* Save stage, before the core images: gives the filters their places in seccomp.img and writes it. */
int seccomp_save(struct dump *d, struct error *err);

/* Save stage: the thread's mode and newest filter. */
void seccomp_save_thread(const struct task_thread *thread, ThreadCoreEntry *tc);

void seccomp_free(struct task_thread *thread);
