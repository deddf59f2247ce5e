/*
 * Files of /proc that show the memory of a process. Those of a process that has executed another program since show
 * nothing, and must not show the memory of that program later: they are refused. The argument is the name of one;
 * without one all are opened behind the execution, and go on to show what there is.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

static const char *const names[] = {
	"mem", "environ", "auxv", "pagemap", "maps", "smaps", "smaps_rollup", "numa_maps"
};

#define NAMES (int)(sizeof(names) / sizeof(names[0]))

static int open_of(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, O_RDONLY);
}

/* Whether there is anything to see in it; memory by the place of a variable, which is where it was in every child. */
static bool shows_something(const char *name, int fd)
{
	static char variable[16] = "something";
	char data[16];

	if (!strcmp(name, "mem"))
		return pread(fd, data, sizeof(data), (off_t)(uintptr_t)variable) > 0;
	return pread(fd, data, sizeof(data), 0) > 0;
}

/* The child executes this program once more, which waits to be told. */
static pid_t start(int *ret_tell)
{
	int ends[2], told[2];
	pid_t pid;
	char byte;

	MUST(pipe(ends));
	MUST(pipe(told));
	pid = MUST(fork());
	if (pid == 0) {
		char in[16], out[16];

		MUST(close(ends[1]));
		MUST(close(told[0]));
		EXPECT_EQ(read(ends[0], &byte, 1), 1);
		snprintf(in, sizeof(in), "%d", ends[0]);
		snprintf(out, sizeof(out), "%d", told[1]);
		execl("/proc/self/exe", "again", "again", in, out, NULL);
		_exit(1);
	}
	MUST(close(ends[0]));
	MUST(close(told[1]));
	ret_tell[0] = ends[1];
	ret_tell[1] = told[0];
	return pid;
}

static void let_execute(const int *tell)
{
	char byte = 0;

	EXPECT_EQ(write(tell[0], &byte, 1), 1);
	EXPECT_EQ(read(tell[1], &byte, 1), 1);
}

static int act_again(char **argv)
{
	char byte = 0;

	EXPECT_EQ(write(atoi(argv[3]), &byte, 1), 1);
	(void)read(atoi(argv[2]), &byte, 1);
	return 0;
}

static int show_before(const char *name)
{
	int tell[2], fd;
	const pid_t pid = start(tell);

	fd = open_of(pid, name);
	if (fd < 0)
		test_skip("no %s: %s", name, strerror(errno));
	EXPECT(shows_something(name, fd));
	let_execute(tell);
	EXPECT(!shows_something(name, fd));
	test_wait();
	EXPECT(!shows_something(name, fd));
	MUST(close(tell[0]));
	EXPECT_EQ(test_reap(pid), 0);
	return test_pass();
}

static int show_behind(void)
{
	int tell[2], fds[NAMES];
	const pid_t pid = start(tell);

	let_execute(tell);
	for (int i = 0; i < NAMES; i++) {
		fds[i] = open_of(pid, names[i]);
		EXPECT(fds[i] < 0 || i == 0 || shows_something(names[i], fds[i]));
	}
	test_wait();
	for (int i = 1; i < NAMES; i++)
		EXPECT(fds[i] < 0 || shows_something(names[i], fds[i]));
	MUST(close(tell[0]));
	EXPECT_EQ(test_reap(pid), 0);
	return test_pass();
}

int main(int argc, char **argv)
{
	if (argc > 3)
		return act_again(argv);
	test_start();
	return argc > 1 ? show_before(argv[1]) : show_behind();
}
