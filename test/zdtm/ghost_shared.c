/*
 * A nameless file that had two names, in several processes: opened by each on its own, one for reading, one appending,
 * one mapping it; all see what one writes. Another one is executed.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/stat.h>

static volatile char *shared;
static int reader = -1;

static void appender(void *arg)
{
	int fd = MUST(open("second", O_WRONLY | O_APPEND));

	(void)arg;
	child_wait();
	EXPECT_EQ(write(fd, "appended", 8), 8);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 4096 + 8);
}

static void mapper(void *arg)
{
	int fd = MUST(open("first", O_RDWR));

	(void)arg;
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(shared != MAP_FAILED);
	close(fd);
	child_wait();
	EXPECT_EQ(shared[0], 'x');
	shared[1] = 'y';
}

static void copy_program(void)
{
	static char data[1 << 20];
	int from = MUST(open("/proc/self/exe", O_RDONLY)), to = MUST(open("program", O_WRONLY | O_CREAT, 0700));
	ssize_t bytes;

	while ((bytes = read(from, data, sizeof(data))) > 0)
		EXPECT_EQ(write(to, data, (size_t)bytes), bytes);
	close(from);
	close(to);
}

int main(int argc, char **argv)
{
	char text[4200], link[256];
	pid_t pids[2];
	ssize_t bytes;
	int fd;

	if (argc == 1) {
		copy_program();
		execl("program", "program", "again", (char *)NULL);
		return 1;
	}
	test_start();
	MUST(unlink("program"));
	fd = MUST(open("first", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(fd, 4096));
	MUST(linkat(AT_FDCWD, "first", AT_FDCWD, "second", 0));
	reader = MUST(open("second", O_RDONLY));
	pids[0] = test_fork(appender, NULL);
	pids[1] = test_fork(mapper, NULL);
	MUST(unlink("first"));
	MUST(unlink("second"));
	test_wait();
	EXPECT_EQ(pwrite(fd, "x", 1, 0), 1);
	test_end_child(pids[0]);
	test_end_child(pids[1]);
	EXPECT_EQ(pread(reader, text, sizeof(text), 0), 4096 + 8);
	EXPECT_MEM(text, "xy", 2);
	EXPECT_MEM(text + 4096, "appended", 8);
	bytes = MUST(readlink("/proc/self/exe", link, sizeof(link) - 1));
	link[bytes] = 0;
	EXPECT(strstr(link, " (deleted)"));
	return test_pass();
}
