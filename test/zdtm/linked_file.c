/* A file whose name was removed while it is open, and that another name still has. */
#include "zdtmlib.h"

#include <sys/stat.h>

int main(void)
{
	struct stat before, st;
	int fd;

	test_start();
	fd = MUST(open("old-name", O_RDWR | O_CREAT, 0600));
	MUST(link("old-name", "new-name"));
	MUST(unlink("old-name"));
	MUST(fstat(fd, &before));
	test_wait();
	EXPECT_EQ(access("old-name", F_OK), -1);
	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_nlink, 1);
	EXPECT_EQ(st.st_ino, before.st_ino);
	EXPECT_EQ(write(fd, "visible", 7), 7);
	MUST(stat("new-name", &st));
	EXPECT_EQ(st.st_size, 7);
	return test_pass();
}
