/* Work over a range of items, on two processors when there is enough of it to pay for a thread. */
#pragma once

#include <stddef.h>

/* From so many items on a second thread pays for itself. */
#define PARALLEL_FROM 256

/*
 * Each time our descriptor table grows under several threads the kernel waits for an RCU grace period, many
 * milliseconds: it grows here, while there is one. fd: any that is open.
 */
void parallel_make_room(int fd, size_t count);

/* Runs work over [0, count), in two threads when count is at least threshold. */
void parallel_run(size_t count, size_t threshold, void (*work)(void *ctx, size_t begin, size_t end), void *ctx);
