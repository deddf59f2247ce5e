/* What the target and its watcher share: a file both map. */
#pragma once

#include <stdint.h>

/* How long anything may take on a busy machine before it counts as never. */
enum { PATIENCE_MS = 60000 };

enum { WATCH_THREADS = 8, WATCH_CHILDREN = 4 /* the first threads have one each, if any */ };

struct watch {
	uint64_t ticks[WATCH_THREADS];
	int32_t tid[WATCH_THREADS];
	uint32_t children;      /* that are there */
	uint64_t vforked_ticks; /* of the child for which a child of the first thread waits; 0: there is none */
	uint64_t beside_ticks;  /* of a thread of the one that waits */
	uint32_t errors;        /* what the target itself found wrong; the first is in words */
	char message[256];
};
