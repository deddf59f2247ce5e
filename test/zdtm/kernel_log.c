/*
 * /dev/kmsg: one description that read some of it, one that read nothing, one at the end, one that only writes. The log
 * is the whole machine's: others add to it meanwhile, which overwrites the oldest of it.
 */
#include "zdtmlib.h"

static char record[8192 + 1];

/* The number of the next record, -1 at the end. */
static long long next_number(int fd)
{
	ssize_t n;

	do
		n = read(fd, record, sizeof(record) - 1);
	while (n < 0 && errno == EPIPE);
	if (n < 0)
		return -1;
	record[n] = '\0';
	return strtoll(strchr(record, ',') + 1, NULL, 10);
}

/* The number of the oldest record that is there, or (whence: SEEK_END) one that a new one can have. */
static long long look(int whence)
{
	int fd = MUST(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
	long long number, last = -1;

	while ((number = next_number(fd)) >= 0 && whence == SEEK_END)
		last = number;
	close(fd);
	return whence == SEEK_END ? last + 1 : number;
}

/* What comes next, unless it was overwritten by now: then the oldest one does. Returns the one that has come. */
static long long expect_next(int fd, long long expected)
{
	const long long before = look(SEEK_SET), found = next_number(fd), after = look(SEEK_SET);

	if (found == expected || (before <= found && found <= after && expected < found))
		return found;
	FAIL("the next record should be number %lld, it is %lld, and the oldest is %lld", expected, found, after);
}

/* Nothing, or the first of those that came since. */
static void expect_end(int fd, long long first, long long last)
{
	const long long found = next_number(fd);

	if (found < 0)
		EXPECT_EQ(errno, EAGAIN);
	else if (found < first || (found > last && found > look(SEEK_SET)))
		FAIL("behind the end there is number %lld, the end was from %lld to %lld", found, first, last);
}

int main(void)
{
	int begun, fresh, end, writer, shared;
	long long first, last = -1, end_from, end_to;

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
	end_from = look(SEEK_END);
	MUST(lseek(end, 0, SEEK_END));
	end_to = look(SEEK_END);
	shared = MUST(dup(begun));
	test_wait();
	last = expect_next(begun, last + 1);
	expect_next(shared, last + 1);
	expect_next(fresh, first);
	expect_end(end, end_from, end_to);
	EXPECT_EQ(fcntl(fresh, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
	EXPECT_EQ(fcntl(writer, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY);
	EXPECT_EQ(read(writer, record, sizeof(record)), -1);
	EXPECT_EQ(errno, EBADF);
	return test_pass();
}
