/* What fcntl(2) says of files of all kinds: how long what is written will live; and space that was reserved for them.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/stat.h>

#ifndef F_GET_RW_HINT
#define F_GET_RW_HINT (1024 + 11)
#define F_SET_RW_HINT (1024 + 12)
#endif

enum { FILES = 4 };

int main(void)
{
	uint64_t hint;
	struct stat before, st;
	int fds[FILES], reserved;
	bool is_set[FILES];

	test_start();
	fds[0] = MUST(open("file", O_RDWR | O_CREAT, 0600));
	fds[1] = MUST(open("ghost", O_RDWR | O_CREAT, 0600));
	MUST(unlink("ghost"));
	fds[2] = MUST(memfd_create("memory", 0));
	fds[3] = MUST(open("second", O_RDWR | O_CREAT, 0600));
	MUST(unlink("second"));
	for (int i = 0; i < FILES; i++) {
		hint = (uint64_t)i + 2;
		is_set[i] = fcntl(fds[i], F_SET_RW_HINT, &hint) == 0;
	}
	reserved = MUST(open("reserved", O_RDWR | O_CREAT, 0600));
	MUST(unlink("reserved"));
	EXPECT_EQ(pwrite(reserved, "data", 4, 20000), 4);
	if (fallocate(reserved, FALLOC_FL_KEEP_SIZE, 0, 131072) < 0 && errno != EOPNOTSUPP)
		FAIL("fallocate: %s", strerror(errno));
	MUST(fsync(reserved));
	MUST(fstat(reserved, &before));
	test_wait();
	for (int i = 0; i < FILES; i++) {
		hint = 0;
		if (!is_set[i])
			continue;
		MUST(fcntl(fds[i], F_GET_RW_HINT, &hint));
		EXPECT_EQ(hint, i + 2);
	}
	MUST(fstat(reserved, &st));
	EXPECT_EQ(st.st_size, before.st_size);
	EXPECT_EQ(st.st_blocks, before.st_blocks);
	return test_pass();
}
