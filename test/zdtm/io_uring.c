/*
 * io_uring: instances of several shapes (flags, sizes of entries) that have been used, with completions that were not
 * reaped, over the end of the ring, too, and requests that were queued and not submitted; more and fewer completions
 * than requests; one that is not enabled, one that is not mapped, one whose completions were never reaped. All go on.
 */
#include "uring.h"

#include <pthread.h>

static struct instance {
	unsigned int entries, flags, cq_entries;
	int passed, left, queued;
	struct uring u;
	bool is_there;
} instances[] = {
	{ 8, 0, 0, 0, 0, 0 },
	{ 8, 0, 0, 21, 3, 2 },
	{ 1, 0, 0, 5, 2, 1 },
	{ 64, IORING_SETUP_CQSIZE, 1024, 1000, 100, 64 },
	{ 16, IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0,
	  3, 32, 1 },
	{ 16, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0, 30, 7, 3 },
	{ 16, IORING_SETUP_SINGLE_ISSUER, 0, 1, 1, 1 },
	{ 32, IORING_SETUP_SQE128 | IORING_SETUP_CQE32, 0, 70, 9, 5 },
	{ 32, IORING_SETUP_CQE32, 0, 64, 64, 0 },
	{ 8, IORING_SETUP_NO_SQARRAY, 0, 12, 2, 4 },
	{ 4, IORING_SETUP_IOPOLL, 0, 2, 2, 2 },
};
enum { COUNT = sizeof(instances) / sizeof(instances[0]) };

static void set_up(struct instance *i)
{
	i->is_there = uring_set_up(&i->u, i->entries, i->flags, i->cq_entries);
	if (!i->is_there)
		return;
	for (int n = 0; n < i->passed; n++) {
		uring_nop(&i->u, 9);
		uring_reap(&i->u, 9, 0);
	}
	for (int n = 0; n < i->left; n++)
		uring_nop(&i->u, 100 + n);
	for (int n = 0; n < i->queued; n++)
		uring_queue(&i->u, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = 500 + n });
	uring_note(&i->u);
}

static void *try_to_enter(void *arg)
{
	EXPECT_EQ(uring_enter(arg, 1, 0), -1);
	EXPECT_EQ(errno, EEXIST);
	return NULL;
}

static void check(struct instance *i)
{
	pthread_t thread;

	if (!i->is_there)
		return;
	uring_check(&i->u);
	for (int n = 0; n < i->left; n++)
		uring_reap(&i->u, 100 + n, 0);
	if (i->flags & IORING_SETUP_SINGLE_ISSUER) {
		EXPECT_EQ(pthread_create(&thread, NULL, try_to_enter, &i->u), 0);
		EXPECT_EQ(pthread_join(thread, NULL), 0);
	}
	if (i->queued)
		EXPECT_EQ(uring_enter(&i->u, i->queued, i->queued), i->queued);
	for (int n = 0; n < i->queued; n++)
		uring_reap(&i->u, 500 + n, 0);
	for (int n = 0; n < 100; n++) {
		uring_nop(&i->u, 7000 + n);
		uring_reap(&i->u, 7000 + n, 0);
	}
	EXPECT_EQ(CQ_HEAD(&i->u), CQ_TAIL(&i->u));
}

/* Messages are completions without a request, silent requests have no completion. */
static void make_uneven(struct uring *more, struct uring *fewer)
{
	EXPECT(uring_set_up(more, 8, 0, 0));
	EXPECT(uring_set_up(fewer, 8, 0, 0));
	for (int n = 0; n < 30; n++) {
		uring_queue(fewer, &(struct io_uring_sqe){ .opcode = IORING_OP_MSG_RING,
							   .fd = more->fd,
							   .off = 40 + n,
							   .len = 5,
							   .flags = IOSQE_CQE_SKIP_SUCCESS });
		EXPECT_EQ(uring_enter(fewer, 1, 0), 1);
		if (n < 20)
			uring_reap(more, 40 + n, 5);
	}
	uring_nop(more, 1);
	uring_note(more);
	uring_note(fewer);
	EXPECT_EQ(more->noted.cq_tail, 31);
	EXPECT_EQ(fewer->noted.cq_tail, 0);
}

static void check_uneven(struct uring *more, struct uring *fewer)
{
	uring_check(more);
	uring_check(fewer);
	for (int n = 20; n < 30; n++)
		uring_reap(more, 40 + n, 5);
	uring_reap(more, 1, 0);
	uring_nop(more, 2);
	uring_reap(more, 2, 0);
	uring_nop(fewer, 3);
	uring_reap(fewer, 3, 0);
}

int main(void)
{
	struct uring more, fewer, disabled, unmapped;
	int copy;

	test_start();
	for (int i = 0; i < COUNT; i++)
		set_up(&instances[i]);
	EXPECT(uring_set_up(&disabled, 8, IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER, 0));
	make_uneven(&more, &fewer);
	EXPECT(uring_set_up(&unmapped, 8, 0, 0));
	uring_nop(&unmapped, 77);
	uring_note(&unmapped);
	MUST(munmap(unmapped.rings, unmapped.ring_bytes));
	MUST(munmap(unmapped.sqes, unmapped.sqe_bytes));
	MUST(fcntl(unmapped.fd, F_SETFD, 0));
	copy = MUST(dup(unmapped.fd));
	test_wait();
	EXPECT_EQ(fcntl(unmapped.fd, F_GETFD), 0);
	EXPECT_EQ(fcntl(disabled.fd, F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < COUNT; i++)
		check(&instances[i]);
	check_uneven(&more, &fewer);
	close(unmapped.fd);
	unmapped.fd = copy;
	uring_map(&unmapped);
	uring_check(&unmapped);
	uring_reap(&unmapped, 77, 0);
	uring_queue(&disabled, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = 6 });
	EXPECT_EQ(uring_enter(&disabled, 1, 0), -1);
	EXPECT_EQ(errno, EBADFD);
	EXPECT_EQ(uring_register(&disabled, IORING_REGISTER_ENABLE_RINGS, NULL, 0), 0);
	EXPECT_EQ(uring_enter(&disabled, 1, 0), 1);
	uring_reap(&disabled, 6, 0);
	return test_pass();
}
