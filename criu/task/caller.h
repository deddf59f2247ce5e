/*
 * Who makes a call that a thread can only make for itself: the calling thread, or one that is told to
 * (engine/early-threads.c).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct caller {
	pid_t tid;
	/* What the kernel returns. */
	int64_t (*call)(const struct caller *caller, long number, uint64_t first, uint64_t second, uint64_t third);
};

/* The calling thread, the first one of its process. */
struct caller caller_self(void);
