/*
 * More deleted files than a restore could hold open besides those of the program. With "shared" each is open by two
 * descriptions, so that one process has to hold all of them.
 */
#include "zdtmlib.h"

#include <sys/resource.h>

enum { FIRST = 10 };

static void use(int fd, unsigned int number, bool is_new)
{
	unsigned int found = number;

	if (is_new)
		EXPECT_EQ(pwrite(fd, &number, sizeof(number), 0), (ssize_t)sizeof(number));
	EXPECT_EQ(pread(fd, &found, sizeof(found), 0), (ssize_t)sizeof(found));
	EXPECT_EQ(found, number);
}

int main(int argc, char **argv)
{
	const bool is_shared = argc > 1 && !strcmp(argv[1], "shared");
	struct rlimit limit;
	int count;

	test_start();
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_max > 20000)
		limit.rlim_max = 20000;
	limit.rlim_cur = limit.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	count = (int)limit.rlim_max * 6 / 10;
	for (int i = FIRST; i < count; i++) {
		int fd;

		if (is_shared && i % 2) {
			char path[32];

			snprintf(path, sizeof(path), "/proc/self/fd/%d", i - 1);
			fd = MUST(open(path, O_RDONLY));
		} else {
			fd = MUST(open("file", O_RDWR | O_CREAT | O_EXCL, 0600));
			MUST(unlink("file"));
			use(fd, (unsigned int)i, true);
		}
		EXPECT_EQ(dup3(fd, i, O_CLOEXEC), i);
		close(fd);
	}
	test_wait();
	for (int i = FIRST; i < count; i++)
		use(i, (unsigned int)(is_shared ? i & ~1 : i), false);
	return test_pass();
}
