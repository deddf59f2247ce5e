/*
 * Reads of a disk, many at once and without a pause, by AIO and by an io_uring: those in flight complete while the tree
 * stands still, and each brings what is in the file.
 */
#include "uring.h"

#include <linux/aio_abi.h>

enum { BLOCK = 4096, BLOCKS = 256, DEPTH = 16 };

static char buffers[2 * DEPTH][BLOCK] __attribute__((aligned(BLOCK)));
static unsigned int blocks[2 * DEPTH];
static unsigned int next;
static unsigned long done[2];
static int file;

static unsigned int choose(unsigned int slot)
{
	next = next * 1103515245 + 12345;
	blocks[slot] = next >> 8 & (BLOCKS - 1);
	memset(buffers[slot], 0, BLOCK);
	return blocks[slot];
}

static void check(unsigned int slot, long long result)
{
	EXPECT_EQ(result, BLOCK);
	EXPECT_PATTERN(buffers[slot], BLOCK, blocks[slot]);
	done[slot / DEPTH]++;
}

static void submit_aio(aio_context_t context, unsigned int slot)
{
	struct iocb request = { .aio_data = slot,
				.aio_lio_opcode = IOCB_CMD_PREAD,
				.aio_fildes = (uint32_t)file,
				.aio_buf = (uintptr_t)buffers[slot],
				.aio_nbytes = BLOCK,
				.aio_offset = (int64_t)choose(slot) * BLOCK };
	struct iocb *list[] = { &request };

	EXPECT_EQ(syscall(SYS_io_submit, context, 1, list), 1);
}

static void submit_uring(struct uring *u, unsigned int slot)
{
	uring_queue(u, &(struct io_uring_sqe){ .opcode = IORING_OP_READ,
					       .fd = file,
					       .addr = (uintptr_t)buffers[slot],
					       .len = BLOCK,
					       .off = (uint64_t)choose(slot) * BLOCK,
					       .user_data = slot });
	EXPECT_EQ(uring_enter(u, 1, 0), 1);
}

static void turn_aio(aio_context_t context, bool again)
{
	struct io_event events[DEPTH];
	long count = syscall(SYS_io_getevents, context, 1, DEPTH, events, NULL);

	/* What an io_uring completes ends other waits. */
	EXPECT(count > 0 || (count < 0 && errno == EINTR));
	for (long i = 0; i < count; i++) {
		check((unsigned int)events[i].data, events[i].res);
		if (again)
			submit_aio(context, (unsigned int)events[i].data);
	}
}

static void turn_uring(struct uring *u, bool again)
{
	EXPECT_EQ(uring_enter(u, 0, 1), 0);
	for (unsigned int head = CQ_HEAD(u); head != CQ_TAIL(u); head = CQ_HEAD(u)) {
		const struct io_uring_cqe *cqe =
		    (void *)(u->rings + u->params.cq_off.cqes + (head & (u->params.cq_entries - 1)) * sizeof(*cqe));
		unsigned int slot = (unsigned int)cqe->user_data;

		check(slot, cqe->res);
		__atomic_store_n(uring_word(u, u->params.cq_off.head), head + 1, __ATOMIC_RELEASE);
		if (again)
			submit_uring(u, slot);
	}
}

/* SIGTERM stays blocked while there is work. */
static bool is_told(const sigset_t *mask)
{
	sigset_t pending;

	if (sigpending(&pending) == 0 && sigismember(&pending, SIGTERM))
		(void)sigsuspend(mask);
	return test_told();
}

int main(void)
{
	aio_context_t context = 0;
	sigset_t mask;
	struct uring u;

	test_start();
	file = open("data", O_RDWR | O_CREAT | O_DIRECT, 0600);
	if (file < 0)
		test_skip("no direct I/O here");
	for (unsigned int i = 0; i < BLOCKS; i++) {
		test_pattern(buffers[0], BLOCK, i);
		EXPECT_EQ(pwrite(file, buffers[0], BLOCK, (off_t)i * BLOCK), BLOCK);
	}
	MUST(syscall(SYS_io_setup, DEPTH, &context));
	EXPECT(uring_set_up(&u, DEPTH, 0, 0));
	for (unsigned int i = 0; i < DEPTH; i++) {
		submit_aio(context, i);
		submit_uring(&u, DEPTH + i);
	}
	test_wait_mask(&mask);
	test_ready();
	while (!is_told(&mask)) {
		turn_aio(context, true);
		turn_uring(&u, true);
	}
	done[0] = done[1] = 0;
	while (done[0] < DEPTH)
		turn_aio(context, false);
	while (done[1] < DEPTH)
		turn_uring(&u, false);
	return test_pass();
}
