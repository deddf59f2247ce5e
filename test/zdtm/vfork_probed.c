/*
 * A process one of whose threads waits for its child of vfork, which sleeps, while another one is in a function whose
 * return a uprobe traces: it would return into a mapping of the kernel's. Refused, and all go on.
 */
#include "zdtmlib.h"

#include <linux/perf_event.h>
#include <sys/mman.h>

enum { CODE = 7, STACK_BYTES = 65536, ON_RETURN = 1 };

static volatile int *stage, *go;

static __attribute__((noinline)) int probed(int value)
{
	test_post(stage, 1);
	test_await(go, 1);
	return 2 * value + 1;
}

static int probe_return(const void *function)
{
	const char *type = test_slurp("/sys/bus/event_source/devices/uprobe/type");
	struct perf_event_attr attr = { .size = sizeof(attr), .config = ON_RETURN };
	char path[256];
	ssize_t bytes = MUST(readlink("/proc/self/exe", path, sizeof(path) - 1));
	int fd;

	if (!type)
		test_skip("this kernel has no uprobes");
	attr.type = (uint32_t)atoi(type);
	path[bytes] = 0;
	attr.uprobe_path = (uint64_t)(uintptr_t)path;
	attr.probe_offset = test_file_offset(function);
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		test_skip("no uprobes: %s", strerror(errno));
	return fd;
}

static int sleep_in_vfork(void *unused)
{
	(void)unused;
	test_post(stage, 2);
	test_await(go, 1);
	_exit(CODE);
}

static void *run_probed(void *unused)
{
	EXPECT_EQ(probed(100), 201);
	return unused;
}

static void run_parent(void)
{
	char *stack = MUST(mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	pthread_t thread;

	EXPECT_EQ(pthread_create(&thread, NULL, run_probed, NULL), 0);
	test_await(stage, 1);
	EXPECT_EQ(test_reap(MUST(clone(sleep_in_vfork, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL))),
		  CODE << 8);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	_exit(0);
}

int main(void)
{
	pid_t parent;
	int probe;

	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	go = stage + 1;
	probe = probe_return((const void *)probed);
	parent = MUST(fork());
	if (parent == 0) {
		MUST(close(probe));
		run_parent();
	}
	test_await(stage, 2);
	MUST(close(probe));
	test_wait();
	test_post(go, 1);
	EXPECT_EQ(test_reap(parent), 0);
	return test_pass();
}
