/*
 * A function that a uprobe was on: the kernel has given the process a page to run the displaced instruction in, which
 * cannot be saved and is not missed once the probe is gone. The function goes on to work, and it can be probed again.
 */
#include "zdtmlib.h"

#include <linux/perf_event.h>
#include <sys/stat.h>

static __attribute__((noinline)) int probed(int value)
{
	__asm__ volatile("" : "+r"(value));
	return 2 * value + 1;
}

static int read_number(const char *path, int missing)
{
	const char *text = test_slurp(path);

	return text ? atoi(text) : missing;
}

static void probe(uint64_t offset, int type)
{
	char path[256];
	ssize_t bytes = MUST(readlink("/proc/self/exe", path, sizeof(path) - 1));
	struct perf_event_attr attr = { .type = (uint32_t)type, .size = sizeof(attr) };
	uint64_t hits = 0;
	int fd;

	path[bytes] = 0;
	attr.uprobe_path = (uint64_t)(uintptr_t)path;
	attr.probe_offset = offset;
	fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		test_skip("no uprobes: %s", strerror(errno));
	EXPECT_EQ(probed(20), 41);
	EXPECT_EQ(read(fd, &hits, sizeof(hits)), (ssize_t)sizeof(hits));
	EXPECT_EQ(hits, 1);
	close(fd);
}

int main(void)
{
	int type = read_number("/sys/bus/event_source/devices/uprobe/type", -1);
	uint64_t offset;

	test_start();
	if (type < 0)
		test_skip("this kernel has no uprobes");
	offset = test_file_offset((const void *)probed);
	probe(offset, type);
	if (!strstr(test_slurp("/proc/self/maps"), "[uprobes]"))
		test_skip("the probe left no mapping");
	test_wait();
	EXPECT_EQ(probed(100), 201);
	probe(offset, type);
	return test_pass();
}
