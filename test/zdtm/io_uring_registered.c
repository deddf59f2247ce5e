/*
 * What is registered in an io_uring: files with empty slots and a range to choose from, buffers with an empty slot, an
 * eventfd of each kind, limits of workers. All is used afterwards, by fixed reads and writes. Tags of files and buffers
 * come back when these are given up.
 */
#include "uring.h"

#include <sys/eventfd.h>
#include <sys/uio.h>

static char buffers[2][8192] __attribute__((aligned(4096)));

static void read_fixed(struct uring *u, unsigned int slot, unsigned int buffer, size_t at, unsigned int bytes)
{
	uring_queue(u, &(struct io_uring_sqe){ .opcode = IORING_OP_READ_FIXED,
					       .flags = IOSQE_FIXED_FILE,
					       .fd = (int)slot,
					       .addr = (uintptr_t)(buffers[buffer] + at),
					       .len = bytes,
					       .buf_index = (uint16_t)(buffer * 2),
					       .user_data = 3 });
	EXPECT_EQ(uring_enter(u, 1, 1), 1);
	uring_reap(u, 3, (int)bytes);
}

static void register_tagged(struct uring *u, unsigned int operation, const void *list, const uint64_t *tags)
{
	const struct io_uring_rsrc_register request = { .nr = 2, .data = (uintptr_t)list, .tags = (uintptr_t)tags };

	MUST(uring_register(u, operation, &request, sizeof(request)));
}

static void make_tagged(struct uring *u, int file)
{
	static const uint64_t file_tags[2] = { 0x1111, 0 }, buffer_tags[2] = { 0, 0x2222222222222222 };
	const struct iovec iov[2] = { { buffers[0], 4096 }, { buffers[1], 4096 } };
	const int files[2] = { file, file };

	EXPECT(uring_set_up(u, 8, 0, 0));
	register_tagged(u, IORING_REGISTER_FILES2, files, file_tags);
	register_tagged(u, IORING_REGISTER_BUFFERS2, iov, buffer_tags);
}

/* A tag is posted when nobody uses what it stands for any more, which may take a moment. */
static void give_up(struct uring *u, unsigned int operation, uint64_t tag)
{
	MUST(uring_register(u, operation, NULL, 0));
	for (int i = 0; i < 60000 && CQ_HEAD(u) == CQ_TAIL(u); i++) {
		usleep(1000);
		EXPECT_EQ(uring_enter(u, 0, 0), 0);
	}
	uring_reap(u, tag, 0);
}

int main(void)
{
	const char text[] = "what stands in the file";
	const struct iovec iov[3] = { { buffers[0], 8192 }, { NULL, 0 }, { buffers[1] + 4096, 4096 } };
	const struct io_uring_file_index_range range = { .off = 3, .len = 2 };
	unsigned int workers[2] = { 3, 5 };
	struct uring u, async, empty, tagged;
	int file, event, async_event, slots[6];
	int sparse[4] = { -1, -1, -1, -1 };
	uint64_t count;

	test_start();
	file = MUST(open("data", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(file, text, sizeof(text)), sizeof(text));
	EXPECT(uring_set_up(&u, 8, 0, 0));
	EXPECT(uring_set_up(&async, 8, 0, 0));
	EXPECT(uring_set_up(&empty, 8, 0, 0));
	for (int i = 0; i < 6; i++)
		slots[i] = i == 2 ? file : i == 5 ? 0 : -1;
	MUST(uring_register(&u, IORING_REGISTER_FILES, slots, 6));
	MUST(uring_register(&u, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0));
	MUST(uring_register(&u, IORING_REGISTER_BUFFERS, iov, 3));
	MUST(uring_register(&u, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2));
	event = MUST(eventfd(0, EFD_NONBLOCK));
	async_event = MUST(eventfd(0, EFD_NONBLOCK));
	MUST(uring_register(&u, IORING_REGISTER_EVENTFD, &event, 1));
	MUST(uring_register(&async, IORING_REGISTER_EVENTFD_ASYNC, &async_event, 1));
	MUST(uring_register(&empty, IORING_REGISTER_FILES, sparse, 4));
	make_tagged(&tagged, file);
	uring_nop(&u, 1);
	uring_nop(&async, 2);
	strcpy(buffers[0], "old contents");
	test_wait();
	EXPECT_STR(buffers[0], "old contents");
	EXPECT_EQ(read(event, &count, 8), 8);
	EXPECT_EQ(count, 1);
	EXPECT_EQ(read(async_event, &count, 8), -1);
	uring_reap(&u, 1, 0);
	uring_reap(&async, 2, 0);
	read_fixed(&u, 2, 0, 100, sizeof(text));
	EXPECT_STR(buffers[0] + 100, text);
	EXPECT_EQ(read(event, &count, 8), 8);
	EXPECT_EQ(count, 1);
	uring_nop(&async, 2);
	EXPECT_EQ(read(async_event, &count, 8), -1);
	uring_reap(&async, 2, 0);
	/* An empty slot is still there, and one of the range is taken for a new file. */
	uring_queue(&u, &(struct io_uring_sqe){ .opcode = IORING_OP_OPENAT,
						.fd = AT_FDCWD,
						.addr = (uintptr_t) "data",
						.open_flags = O_RDONLY,
						.file_index = IORING_FILE_INDEX_ALLOC,
						.user_data = 4 });
	EXPECT_EQ(uring_enter(&u, 1, 1), 1);
	uring_reap(&u, 4, 3);
	memset(buffers[1], 0, sizeof(buffers[1]));
	uring_queue(&u, &(struct io_uring_sqe){ .opcode = IORING_OP_READ_FIXED,
						.flags = IOSQE_FIXED_FILE,
						.fd = 3,
						.addr = (uintptr_t)(buffers[1] + 5000),
						.len = 100,
						.buf_index = 2,
						.user_data = 5 });
	EXPECT_EQ(uring_enter(&u, 1, 1), 1);
	uring_reap(&u, 5, sizeof(text));
	EXPECT_STR(buffers[1] + 5000, text);
	EXPECT_EQ(uring_register(&u, IORING_REGISTER_FILES, slots, 6), -1);
	EXPECT_EQ(errno, EBUSY);
	EXPECT_EQ(uring_register(&empty, IORING_UNREGISTER_FILES, NULL, 0), 0);
	workers[0] = workers[1] = 0;
	MUST(uring_register(&u, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2));
	EXPECT_EQ(workers[0], 3);
	EXPECT_EQ(workers[1], 5);
	give_up(&tagged, IORING_UNREGISTER_FILES, 0x1111);
	give_up(&tagged, IORING_UNREGISTER_BUFFERS, 0x2222222222222222);
	return test_pass();
}
