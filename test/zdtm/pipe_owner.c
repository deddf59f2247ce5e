/* A pipe of an ordinary user, who may open its ends again through /proc (/dev/stdin), and one with rights for others.
 */
#include "zdtmlib.h"

#include <sys/prctl.h>
#include <sys/stat.h>

static int again(int fd, int flags)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags);
}

static void become_user(void)
{
	MUST(setresgid(1001, 1001, 1001));
	MUST(setresuid(1000, 1000, 1000));
	MUST(prctl(PR_SET_DUMPABLE, 1));
}

int main(void)
{
	int own[2], shared[2], opened;
	struct stat st;
	char text[8];

	test_start();
	become_user();
	MUST(pipe(own));
	EXPECT_EQ(write(own[1], "text", 4), 4);
	MUST(pipe(shared));
	MUST(fchmod(shared[0], 0662));
	test_wait();
	MUST(fstat(own[0], &st));
	EXPECT_EQ(st.st_uid, 1000);
	EXPECT_EQ(st.st_gid, 1001);
	EXPECT_EQ(st.st_mode, S_IFIFO | 0600);
	MUST(fstat(shared[1], &st));
	EXPECT_EQ(st.st_mode, S_IFIFO | 0662);
	opened = MUST(again(own[0], O_RDONLY | O_NONBLOCK));
	EXPECT_EQ(read(opened, text, sizeof(text)), 4);
	opened = MUST(again(own[1], O_WRONLY));
	EXPECT_EQ(write(opened, "more", 4), 4);
	return test_pass();
}
