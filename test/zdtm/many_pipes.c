/* Five thousand pipes in one task, every fifth with something in it, every tenth with one end closed. */
#include "zdtmlib.h"

#include <poll.h>
#include <sys/resource.h>

enum { COUNT = 5000 };

static int ends[COUNT][2];

int main(void)
{
	struct rlimit limit;

	test_start();
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_max < 2 * COUNT + 16)
		test_skip("RLIMIT_NOFILE is %llu", (unsigned long long)limit.rlim_max);
	limit.rlim_cur = limit.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < COUNT; i++) {
		MUST(pipe2(ends[i], i % 3 ? 0 : O_NONBLOCK | O_CLOEXEC));
		if (i % 5 == 0)
			EXPECT_EQ(write(ends[i][1], &i, sizeof(i)), sizeof(i));
		if (i % 10 == 1)
			close(ends[i][i % 4 == 1]);
	}
	test_wait();
	for (int i = 0; i < COUNT; i++) {
		int found = -1;

		if (i % 10 == 1) {
			struct pollfd other = { .fd = ends[i][i % 4 != 1] };

			EXPECT_EQ(poll(&other, 1, 0), 1);
			EXPECT_EQ(other.revents, i % 4 == 1 ? POLLHUP : POLLERR);
			continue;
		}
		EXPECT_EQ(fcntl(ends[i][0], F_GETFL), i % 3 ? O_RDONLY : O_RDONLY | O_NONBLOCK);
		if (i % 5)
			EXPECT_EQ(write(ends[i][1], &i, sizeof(i)), sizeof(i));
		EXPECT_EQ(read(ends[i][0], &found, sizeof(found)), sizeof(found));
		EXPECT_EQ(found, i);
	}
	return test_pass();
}
