/* A raw io_uring, for behaviours: what a library would do, visible and without copies of its own. */
#pragma once

#include "zdtmlib.h"

#include <linux/io_uring.h>
#include <sys/mman.h>

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif

struct uring {
	int fd;
	struct io_uring_params params;
	char *rings, *sqes;
	size_t ring_bytes, sqe_bytes;
	struct {
		unsigned int sq_head, sq_tail, cq_head, cq_tail;
	} noted;
};

static inline unsigned int *uring_word(const struct uring *u, unsigned int offset)
{
	return (void *)(u->rings + offset);
}

#define SQ_HEAD(u) (*(volatile unsigned int *)uring_word(u, (u)->params.sq_off.head))
#define SQ_TAIL(u) (*(volatile unsigned int *)uring_word(u, (u)->params.sq_off.tail))
#define CQ_HEAD(u) (*(volatile unsigned int *)uring_word(u, (u)->params.cq_off.head))
#define CQ_TAIL(u) (*(volatile unsigned int *)uring_word(u, (u)->params.cq_off.tail))

static inline size_t uring_cqe_bytes(const struct uring *u)
{
	return u->params.flags & IORING_SETUP_CQE32 ? 32 : 16;
}

static inline size_t uring_sqe_bytes(const struct uring *u)
{
	return u->params.flags & IORING_SETUP_SQE128 ? 128 : 64;
}

static inline void uring_map(struct uring *u)
{
	size_t array = u->params.sq_off.array + u->params.sq_entries * sizeof(unsigned int);

	u->ring_bytes = u->params.cq_off.cqes + u->params.cq_entries * uring_cqe_bytes(u);
	if (!(u->params.flags & IORING_SETUP_NO_SQARRAY) && array > u->ring_bytes)
		u->ring_bytes = array;
	u->sqe_bytes = u->params.sq_entries * uring_sqe_bytes(u);
	u->rings = MUST(mmap(NULL, u->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQ_RING));
	u->sqes = MUST(mmap(NULL, u->sqe_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQES));
}

/* False where this kernel lacks a flag. */
static inline bool uring_set_up(struct uring *u, unsigned int entries, unsigned int flags, unsigned int cq_entries)
{
	u->params = (struct io_uring_params){ .flags = flags, .cq_entries = cq_entries };
	u->fd = (int)syscall(SYS_io_uring_setup, entries, &u->params);
	if (u->fd < 0 && (errno == ENOSYS || errno == EPERM))
		test_skip("io_uring is not available");
	if (u->fd < 0)
		return false;
	uring_map(u);
	return true;
}

static inline int uring_enter(const struct uring *u, unsigned int submit, unsigned int wait)
{
	return (int)syscall(SYS_io_uring_enter, u->fd, submit, wait, IORING_ENTER_GETEVENTS, NULL, 0);
}

static inline int uring_register(const struct uring *u, unsigned int operation, const void *argument,
				 unsigned int count)
{
	return (int)syscall(SYS_io_uring_register, u->fd, operation, argument, count);
}

static inline struct io_uring_sqe *uring_queue(struct uring *u, const struct io_uring_sqe *sqe)
{
	unsigned int tail = SQ_TAIL(u), index = tail & (u->params.sq_entries - 1);
	struct io_uring_sqe *to = (void *)(u->sqes + index * uring_sqe_bytes(u));

	memset(to, 0, uring_sqe_bytes(u));
	*to = *sqe;
	if (!(u->params.flags & IORING_SETUP_NO_SQARRAY))
		uring_word(u, u->params.sq_off.array)[index] = index;
	__atomic_store_n(uring_word(u, u->params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	return to;
}

static inline void uring_nop(struct uring *u, uint64_t data)
{
	uring_queue(u, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = data });
	EXPECT_EQ(uring_enter(u, 1, 0), 1);
}

static inline void uring_reap(struct uring *u, uint64_t data, int result)
{
	unsigned int head = CQ_HEAD(u);
	const struct io_uring_cqe *cqe =
	    (void *)(u->rings + u->params.cq_off.cqes + (head & (u->params.cq_entries - 1)) * uring_cqe_bytes(u));

	EXPECT(CQ_TAIL(u) != head);
	EXPECT_EQ(cqe->user_data, data);
	EXPECT_EQ(cqe->res, result);
	__atomic_store_n(uring_word(u, u->params.cq_off.head), head + 1, __ATOMIC_RELEASE);
}

static inline void uring_note(struct uring *u)
{
	u->noted.sq_head = SQ_HEAD(u);
	u->noted.sq_tail = SQ_TAIL(u);
	u->noted.cq_head = CQ_HEAD(u);
	u->noted.cq_tail = CQ_TAIL(u);
}

static inline void uring_check(const struct uring *u)
{
	EXPECT_EQ(SQ_HEAD(u), u->noted.sq_head);
	EXPECT_EQ(SQ_TAIL(u), u->noted.sq_tail);
	EXPECT_EQ(CQ_HEAD(u), u->noted.cq_head);
	EXPECT_EQ(CQ_TAIL(u), u->noted.cq_tail);
	EXPECT_EQ(*uring_word(u, u->params.sq_off.ring_entries), u->params.sq_entries);
	EXPECT_EQ(*uring_word(u, u->params.cq_off.ring_entries), u->params.cq_entries);
}
