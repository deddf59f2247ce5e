/*
 * io_uring: the system calls, the memory that a ring shares with its program, and bringing the counters of a new ring
 * to where those of another one were.
 */
#pragma once

#include <linux/io_uring.h>
#include <stddef.h>
#include <stdint.h>

/* Constants that older headers lack. */
#ifndef IORING_SETUP_NO_MMAP
#define IORING_SETUP_NO_MMAP (1U << 14)
#endif
#ifndef IORING_SETUP_REGISTERED_FD_ONLY
#define IORING_SETUP_REGISTERED_FD_ONLY (1U << 15)
#endif
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#ifndef IORING_SETUP_HYBRID_IOPOLL
#define IORING_SETUP_HYBRID_IOPOLL (1U << 17)
#endif
#ifndef IORING_SETUP_CQE_MIXED
#define IORING_SETUP_CQE_MIXED (1U << 18)
#endif
#define IO_URING_REGISTER_CLOCK 29

/* One more submission than this is refused: the counters of a ring can only be set by counting. */
#define IO_URING_COUNT_LIMIT (1u << 26)

struct io_uring_memory {
	struct io_uring_params params;
	char *rings, *sqes; /* NULL while not mapped */
	size_t ring_bytes, sqe_bytes;
};

/* A new ring: descriptor or -errno. params are flags and entries, and what the kernel says of the ring. */
int io_uring_make(uint32_t entries, struct io_uring_params *params);

int io_uring_register_with(int fd, unsigned int operation, const void *argument, unsigned int count);

/* Maps what a ring of these parameters shares: 0 or -errno. */
int io_uring_map(int fd, const struct io_uring_params *params, struct io_uring_memory *ret);
void io_uring_unmap(struct io_uring_memory *memory);

/* A word of the rings by its offset. */
static inline volatile uint32_t *io_uring_word(const struct io_uring_memory *memory, uint32_t offset)
{
	return (volatile uint32_t *)(void *)(memory->rings + offset);
}

/*
 * In the task that may submit: submits and completes until both counters are reached, never more completions than the
 * ring holds beyond cq_head. Contents of the ring are lost. 0, -errno, -EIO when the counters are not as they should
 * be.
 */
int io_uring_advance(int fd, struct io_uring_memory *memory, uint32_t sq_count, uint32_t cq_count, uint32_t cq_head);
