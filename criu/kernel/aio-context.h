/*
 * Contexts of asynchronous I/O (struct kioctx): read from the kernel's own structures, see kernel-memory.h. A request
 * holds a slot of the ring from its submission until its event was fetched: what is neither free nor complete is in
 * flight.
 */
#pragma once

#include <stdint.h>

#include "kernel/kernel-memory.h"

/* Where the context of a process whose ring is mapped there is, 0: it has none. */
int aio_context_find(struct kernel_memory *km, int pidfd, uint64_t ring, uint64_t *ret_context);

/* The bytes of its ring, and how many requests it was made for. */
int aio_context_size(struct kernel_memory *km, uint64_t at, uint64_t *ret_bytes, uint32_t *ret_requests);

/* How many requests were submitted and have not ended. */
int aio_context_in_flight(struct kernel_memory *km, uint64_t at, int64_t *ret_count);
