/* A thousand open files of several kinds. */
#include "zdtmlib.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

int main(void)
{
	enum { COUNT = 1000 };
	int fds[COUNT];

	test_start();
	for (int i = 0; i < COUNT; i++) {
		char name[32];

		if (i % 4 == 0) {
			fds[i] = MUST(eventfd(i, EFD_NONBLOCK));
			continue;
		}
		snprintf(name, sizeof(name), "f%d", i / 2);
		fds[i] = MUST(open(name, O_RDWR | O_CREAT, 0600));
		MUST(lseek(fds[i], i, SEEK_SET));
	}
	test_wait();
	for (int i = 0; i < COUNT; i++) {
		uint64_t value = 0;

		if (i % 4)
			EXPECT_EQ(lseek(fds[i], 0, SEEK_CUR), i);
		else
			EXPECT_EQ(read(fds[i], &value, 8), i ? 8 : -1);
		EXPECT_EQ(value, i % 4 ? 0 : i);
	}
	return test_pass();
}
