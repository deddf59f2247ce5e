/* cmdline, environ, auxv and exe as /proc shows them, the first two overwritten in place as setproctitle() does. */
#include "zdtmlib.h"

static char auxv[4096], exe[256], found[4096];

static ssize_t read_proc(const char *name, char *ret_text, size_t bytes)
{
	int fd = MUST(open(name, O_RDONLY));
	ssize_t n = MUST(read(fd, ret_text, bytes));

	close(fd);
	return n;
}

int main(int argc, char **argv)
{
	ssize_t auxv_bytes, exe_bytes;
	size_t room = strlen(argv[0]);
	extern char **environ;

	(void)argc;
	test_start();
	auxv_bytes = read_proc("/proc/self/auxv", auxv, sizeof(auxv));
	exe_bytes = MUST(readlink("/proc/self/exe", exe, sizeof(exe)));
	memset(argv[0], '#', room);
	memcpy(argv[0], "new title", 9);
	memcpy(environ[0], "LIES", 4);
	test_wait();
	EXPECT(read_proc("/proc/self/cmdline", found, sizeof(found)) >= (ssize_t)room + 1);
	EXPECT_MEM(found, "new title###", 12);
	EXPECT_EQ(found[room], 0);
	EXPECT(read_proc("/proc/self/environ", found, sizeof(found)) > 10);
	EXPECT_MEM(found, "LIES=", 5);
	EXPECT(memmem(found, sizeof(found), "ZDTM=a value to find again", 26));
	EXPECT_STR(getenv("ZDTM"), "a value to find again");
	EXPECT_EQ(read_proc("/proc/self/auxv", found, sizeof(found)), auxv_bytes);
	EXPECT_MEM(found, auxv, auxv_bytes);
	EXPECT_EQ(readlink("/proc/self/exe", found, sizeof(found)), exe_bytes);
	EXPECT_MEM(found, exe, exe_bytes);
	return test_pass();
}
