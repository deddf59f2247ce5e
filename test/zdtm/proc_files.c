/* Open files of /proc: of the process itself, of another one, a directory; read halfway. */
#include "zdtmlib.h"

int main(void)
{
	char first[16], now[16];
	int status, directory, system;

	test_start();
	status = MUST(open("/proc/self/status", O_RDONLY));
	directory = MUST(open("/proc/self", O_RDONLY | O_DIRECTORY));
	system = MUST(open("/proc/sys/kernel/ostype", O_RDONLY));
	EXPECT_EQ(read(status, first, 5), 5);
	test_wait();
	EXPECT_EQ(lseek(status, 0, SEEK_CUR), 5);
	EXPECT_EQ(pread(status, now, 5, 0), 5);
	EXPECT_MEM(now, first, 5);
	EXPECT_EQ(faccessat(directory, "status", F_OK, 0), 0);
	EXPECT_EQ(read(system, now, 16), 6);
	EXPECT_MEM(now, "Linux\n", 6);
	return test_pass();
}
