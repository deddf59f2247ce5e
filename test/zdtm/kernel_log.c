/* /dev/kmsg: one description that read some of it, one that read nothing, one at the end, one that only writes. */
#include "zdtmlib.h"

static char record[8192 + 1];

/* The number of the next record, -1 at the end. */
static long long next_number(int fd)
{
	ssize_t n = read(fd, record, sizeof(record) - 1);

	if (n < 0 && errno == EPIPE)
		n = read(fd, record, sizeof(record) - 1);
	if (n < 0)
		return -1;
	record[n] = '\0';
	return strtoll(strchr(record, ',') + 1, NULL, 10);
}

int main(void)
{
	int begun, fresh, end, writer, shared;
	long long first, last = -1;

	test_start();
	begun = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (begun < 0)
		test_skip("/dev/kmsg: %s", strerror(errno));
	fresh = MUST(open("/dev/kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC));
	end = MUST(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
	writer = MUST(open("/dev/kmsg", O_WRONLY));
	first = next_number(begun);
	for (int i = 0; i < 3; i++)
		last = next_number(begun);
	if (last < 0)
		test_skip("the kernel's log has fewer than four records");
	MUST(lseek(end, 0, SEEK_END));
	shared = MUST(dup(begun));
	test_wait();
	EXPECT_EQ(next_number(begun), last + 1);
	EXPECT_EQ(next_number(shared), last + 2);
	EXPECT_EQ(next_number(fresh), first);
	EXPECT_EQ(next_number(end), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(fcntl(fresh, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
	EXPECT_EQ(fcntl(writer, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY);
	EXPECT_EQ(read(writer, record, sizeof(record)), -1);
	EXPECT_EQ(errno, EBADF);
	return test_pass();
}
