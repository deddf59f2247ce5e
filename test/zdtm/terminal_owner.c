/* A terminal of an ordinary user, of which nobody has the other end open yet: the user may open that. */
#include "zdtmlib.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

int main(void)
{
	struct stat before, after;
	char name[64], text[8];
	int master, slave;

	test_start();
	MUST(setresgid(1001, 1001, 1001));
	MUST(setresuid(1000, 1000, 1000));
	MUST(prctl(PR_SET_DUMPABLE, 1));
	master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0)
		test_skip("no terminals here: %s", strerror(errno));
	MUST(grantpt(master));
	MUST(unlockpt(master));
	if (ptsname_r(master, name, sizeof(name)) != 0)
		test_skip("no name");
	MUST(stat(name, &before));
	test_wait();
	MUST(stat(name, &after));
	EXPECT_EQ(after.st_uid, 1000);
	EXPECT_EQ(after.st_gid, before.st_gid);
	EXPECT_EQ(after.st_mode, before.st_mode);
	slave = MUST(open(name, O_RDWR | O_NOCTTY));
	EXPECT_EQ(write(slave, "text", 4), 4);
	EXPECT_EQ(read(master, text, sizeof(text)), 4);
	return test_pass();
}
