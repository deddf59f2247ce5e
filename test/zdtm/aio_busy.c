/* An AIO request in flight: a poll of a pipe nobody writes to. */
#include "zdtmlib.h"

#include <linux/aio_abi.h>
#include <poll.h>

int main(void)
{
	aio_context_t id = 0;
	struct io_event event = { 0 };
	int ends[2];

	test_start();
	MUST(pipe(ends));
	MUST(syscall(SYS_io_setup, 10, &id));
	struct iocb request = {
		.aio_data = 5, .aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = (uint32_t)ends[0], .aio_buf = POLLIN
	};
	struct iocb *list[] = { &request };

	EXPECT_EQ(syscall(SYS_io_submit, id, 1, list), 1);
	test_wait();
	EXPECT_EQ(write(ends[1], "x", 1), 1);
	EXPECT_EQ(syscall(SYS_io_getevents, id, 1, 1, &event, NULL), 1);
	EXPECT_EQ(event.data, 5);
	return test_pass();
}
