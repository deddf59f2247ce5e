/* A child that has ended by a signal with a core dump and was not waited for: the parent still learns of the core. */
#include "zdtmlib.h"

#include <dirent.h>
#include <sys/resource.h>

static int count_files(void)
{
	DIR *dir = opendir(".");
	int count = 0;

	EXPECT(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

int main(void)
{
	const struct rlimit some = { 65536, 65536 };
	siginfo_t info;
	int files;
	pid_t pid;

	test_start();
	pid = MUST(fork());
	if (pid == 0) {
		MUST(setrlimit(RLIMIT_CORE, &some));
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		_exit(1);
	}
	MUST(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	if (info.si_code != CLD_DUMPED)
		test_skip("no core dump is made here");
	files = count_files();
	test_wait();
	EXPECT_EQ(count_files(), files);
	MUST(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	EXPECT_EQ(info.si_code, CLD_DUMPED);
	EXPECT_EQ(info.si_status, SIGSEGV);
	EXPECT_EQ(test_reap(pid), SIGSEGV | 0x80);
	return test_pass();
}
