/*
 * io_uring requests in flight: a poll of a pipe nobody writes to, a timeout far away, and a thread of the kernel's own
 * that opens a fifo: it must not be disturbed.
 */
#include "uring.h"

#include <linux/time_types.h>
#include <poll.h>
#include <sys/stat.h>

int main(void)
{
	struct __kernel_timespec far_away = { .tv_sec = 1000 };
	struct uring u;
	int ends[2], expected;

	test_start();
	MUST(pipe(ends));
	EXPECT(uring_set_up(&u, 8, 0, 0));
	uring_queue(&u, &(struct io_uring_sqe){
			    .opcode = IORING_OP_POLL_ADD, .fd = ends[0], .poll32_events = POLLIN, .user_data = 5 });
	uring_queue(&u, &(struct io_uring_sqe){
			    .opcode = IORING_OP_TIMEOUT, .addr = (uintptr_t)&far_away, .len = 1, .user_data = 6 });
	MUST(mkfifo("fifo", 0600));
	uring_queue(&u, &(struct io_uring_sqe){ .opcode = IORING_OP_OPENAT,
						.flags = IOSQE_ASYNC,
						.fd = AT_FDCWD,
						.addr = (uintptr_t) "fifo",
						.open_flags = O_RDONLY,
						.user_data = 7 });
	expected = MUST(dup(0)); /* it takes the number before it opens */
	close(expected);
	EXPECT_EQ(uring_enter(&u, 3, 0), 3);
	usleep(50000);
	test_wait();
	EXPECT_EQ(write(ends[1], "x", 1), 1);
	EXPECT_EQ(uring_enter(&u, 0, 1), 0);
	uring_reap(&u, 5, POLLIN);
	EXPECT_EQ(CQ_HEAD(&u), CQ_TAIL(&u));
	MUST(open("fifo", O_WRONLY));
	EXPECT_EQ(uring_enter(&u, 0, 1), 0);
	uring_reap(&u, 7, expected);
	return test_pass();
}
