/* A working directory that was removed: still the same kind of nowhere. */
#include "zdtmlib.h"

#include <sys/stat.h>

int main(void)
{
	char found[512];
	struct stat st;

	test_start();
	MUST(mkdir("gone", 0700));
	MUST(chdir("gone"));
	MUST(rmdir("../gone"));
	test_wait();
	EXPECT(!getcwd(found, sizeof(found)));
	EXPECT_EQ(errno, ENOENT);
	MUST(stat(".", &st));
	EXPECT_EQ(st.st_nlink, 0);
	return test_pass();
}
