/*
 * A process whose ids were changed where fs.suid_dumpable is 2: its core dumps are root's. The setting is the
 * machine's, so this runs only when it is named.
 */
#include "zdtmlib.h"

#include <sys/fsuid.h>
#include <sys/prctl.h>

#define SETTING "/proc/sys/fs/suid_dumpable"

static void write_setting(const char *text)
{
	int fd = MUST(open(SETTING, O_WRONLY));

	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void child(void *arg)
{
	(void)arg;
	MUST(setresgid(1234, 1234, 1234));
	MUST(setresuid(1234, 1234, 1234));
	EXPECT_EQ(prctl(PR_GET_DUMPABLE), 2);
	child_wait();
	EXPECT_EQ(prctl(PR_GET_DUMPABLE), 2);
}

static void child_of_root(void *arg)
{
	(void)arg;
	MUST(setfsgid(1));
	MUST(setfsgid(0));
	EXPECT_EQ(prctl(PR_GET_DUMPABLE), 2);
	child_wait();
	EXPECT_EQ(prctl(PR_GET_DUMPABLE), 2);
}

int main(void)
{
	char before[16];
	pid_t pids[2];

	test_start();
	snprintf(before, sizeof(before), "%s", test_slurp(SETTING));
	write_setting("2");
	pids[0] = test_fork(child, NULL);
	pids[1] = test_fork(child_of_root, NULL);
	test_wait();
	write_setting(before);
	EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
	test_end_child(pids[0]);
	test_end_child(pids[1]);
	return test_pass();
}
