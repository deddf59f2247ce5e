/*
 * Page contents into a pages file: from another process's memory or from a descriptor, in large pieces, by several
 * threads when there is much of it. Nothing runs inside the task for this.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum page_source_kind {
	PAGES_FROM_TASK,   /* readable memory: process_vm_readv */
	PAGES_FROM_MEM,    /* memory the task itself may not read, or may have in common with others: /proc/PID/mem */
	PAGES_FROM_FD,     /* a file's bytes at the same offset */
	PAGES_FROM_BUFFER, /* bytes we hold */
};

struct page_source {
	enum page_source_kind kind;
	uint64_t address; /* in the task, or the file offset */
	uint64_t bytes;
	const void *buffer;
};

struct page_job {
	pid_t pid;
	int fd;     /* for PAGES_FROM_MEM and _FD */
	int out_fd; /* the pages file; written from offset 0 on, in the order of sources */
	const struct page_source *sources;
	size_t source_count;
	int (*progress)(void *ctx, uint64_t bytes); /* may be NULL; called by any thread; < 0 ends the job with that */
	void *progress_ctx;
};

/* 0 or -errno; *ret_failed_write tells whether it was the pages file (and not the source) that failed. */
int pages_save(const struct page_job *job, bool *ret_failed_write);
