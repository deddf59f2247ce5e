/*
 * io_uring requests that complete while they are waited for: of the first thread, which has to take part in that; in a
 * ring that completes only when it is asked to; and by a thread of the kernel's own, which is still there.
 */
#include "uring.h"

#include <sys/timerfd.h>
#include <time.h>

static uint64_t counts[2];
static char text[16];

static void read_timer(struct uring *u, int timer, int which)
{
	uring_queue(u, &(struct io_uring_sqe){ .opcode = IORING_OP_READ,
					       .fd = timer,
					       .addr = (uintptr_t)&counts[which],
					       .len = 8,
					       .user_data = 40 + (uint64_t)which });
	EXPECT_EQ(uring_enter(u, 1, 0), 1);
}

int main(void)
{
	const struct itimerspec soon = { .it_value = { 0, 600000000 } };
	struct uring u, deferred;
	int timers[2], file;

	test_start();
	file = MUST(open("data", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(file, "abc", 3), 3);
	EXPECT(uring_set_up(&u, 8, 0, 0));
	EXPECT(uring_set_up(&deferred, 8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0));
	for (int i = 0; i < 2; i++) {
		timers[i] = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
		MUST(timerfd_settime(timers[i], 0, &soon, NULL));
		read_timer(i ? &deferred : &u, timers[i], i);
	}
	uring_queue(&u, &(struct io_uring_sqe){ .opcode = IORING_OP_READ,
						.flags = IOSQE_ASYNC,
						.fd = file,
						.addr = (uintptr_t)text,
						.len = sizeof(text),
						.user_data = 7 });
	EXPECT_EQ(uring_enter(&u, 1, 1), 1);
	uring_reap(&u, 7, 3);
	test_wait();
	EXPECT_EQ(uring_enter(&u, 0, 1), 0);
	uring_reap(&u, 40, 8);
	EXPECT_EQ(uring_enter(&deferred, 0, 1), 0);
	uring_reap(&deferred, 41, 8);
	EXPECT_EQ(counts[0], 1);
	EXPECT_EQ(counts[1], 1);
	EXPECT_STR(text, "abc");
	EXPECT(strstr(test_slurp("/proc/self/maps"), "[vdso]"));
	return test_pass();
}
