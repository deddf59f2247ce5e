/* An AIO request that completes while it is waited for: a poll of a timer that expires soon. */
#include "zdtmlib.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>

int main(void)
{
	const struct itimerspec soon = { .it_value = { 0, 600000000 } };
	aio_context_t id = 0;
	struct io_event event = { 0 };
	int timer;

	test_start();
	timer = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	MUST(syscall(SYS_io_setup, 10, &id));
	struct iocb request = {
		.aio_data = 5, .aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = (uint32_t)timer, .aio_buf = POLLIN
	};
	struct iocb *list[] = { &request };

	EXPECT_EQ(syscall(SYS_io_submit, id, 1, list), 1);
	MUST(timerfd_settime(timer, 0, &soon, NULL));
	test_wait();
	EXPECT_EQ(syscall(SYS_io_getevents, id, 1, 1, &event, NULL), 1);
	EXPECT_EQ(event.data, 5);
	EXPECT_EQ(event.res, POLLIN);
	return test_pass();
}
