/*
 * What the kernel knows of an io_uring instance (struct io_ring_ctx), as far as no interface tells: read from its own
 * structures, see kernel-memory.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kernel-memory.h"

/* A slot of a table of registered files or buffers. */
struct io_uring_resource {
	uint32_t slot;
	uint64_t tag;
	uint64_t file;           /* the address of its struct file */
	uint64_t address, bytes; /* of a buffer, */
	bool is_kernels;         /* which is not the program's memory */
};

struct io_uring_resources {
	uint32_t slots; /* 0: none are registered */
	struct io_uring_resource *items;
	size_t count;
};

struct io_uring_context {
	uint64_t at;
	uint32_t flags; /* IORING_SETUP_xx */
	uint32_t sq_entries, cq_entries;
	uint32_t cached_sq_head, cached_cq_tail;
	uint64_t submitter; /* the struct task_struct of the thread that alone may submit, 0: any */
	uint64_t mm;        /* the struct mm_struct of the task that made it */
	uint64_t eventfd;   /* the struct eventfd_ctx, 0: none */
	uint32_t eventfd_async;
	uint32_t clock_id;
	uint32_t workers[2]; /* 0: not limited */
	uint32_t alloc_start, alloc_end;
	struct io_uring_resources files, buffers;

	/* what cannot be made again */
	bool has_restrictions, has_personalities, has_buffer_rings, has_receive_queues, has_wait_region, polls_network;
	bool overflows;
};

/* A thread as its structures tell: where they are. */
struct io_uring_thread {
	uint64_t at, leader, mm, files; /* leader: the first thread of its process */
};

int io_uring_thread_read(struct kernel_memory *km, uint64_t thread, struct io_uring_thread *ret);

/* The struct file behind each number of a thread's descriptor table, 0 where there is none; free()d by the caller. */
int io_uring_read_table(struct kernel_memory *km, const struct io_uring_thread *thread, uint64_t **ret_files,
			size_t *ret_count);

/* What the struct file leads to: the instance of an io_uring, the struct eventfd_ctx of an eventfd. */
int io_uring_private(struct kernel_memory *km, uint64_t file, uint64_t *ret_private);

/* -ENOENT when this kernel has other structures. */
int io_uring_context_read(struct kernel_memory *km, uint64_t at, struct io_uring_context *ret);
void io_uring_context_done(struct io_uring_context *context);

/* What a thread knows by numbers of its own: instances, 0 where there is none. */
#define IO_URING_THREAD_NUMBERS 16
int io_uring_thread_numbers(struct kernel_memory *km, uint64_t thread, uint64_t ret[IO_URING_THREAD_NUMBERS]);

/* How many requests were submitted and have not ended. */
int io_uring_context_in_flight(struct kernel_memory *km, uint64_t at, uint32_t *ret_count);

struct io_uring_request {
	uint8_t operation; /* IORING_OP_xx */
	uint64_t user_data;
};

/* Those among them that wait for a file or for time; the others are being worked on. How many were found, or -errno. */
int io_uring_context_waiting(struct kernel_memory *km, uint64_t at, struct io_uring_request *requests, size_t room);
