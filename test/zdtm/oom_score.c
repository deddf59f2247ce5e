/*
 * The out-of-memory score adjustment and the core dump filter as /proc shows and sets them; and how low a process may
 * take its adjustment again that has raised it without CAP_SYS_RESOURCE.
 */
#include "zdtmlib.h"

#include <linux/capability.h>

static void put(const char *path, const char *text)
{
	int fd = MUST(open(path, O_WRONLY));

	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void give_capability_up(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	MUST(syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1u << CAP_SYS_RESOURCE);
	data[0].permitted &= ~(1u << CAP_SYS_RESOURCE);
	MUST(syscall(SYS_capset, &header, data));
}

static bool can_set(int score)
{
	char text[16];
	int fd = MUST(open("/proc/self/oom_score_adj", O_WRONLY));
	ssize_t written = write(fd, text, (size_t)snprintf(text, sizeof(text), "%d", score));

	EXPECT(written > 0 || errno == EACCES);
	close(fd);
	return written > 0;
}

static int find_lowest(void)
{
	int lowest = 1000;

	while (lowest > -1000 && can_set(lowest - 1))
		lowest--;
	return lowest;
}

static void raised(void *arg)
{
	int lowest;

	give_capability_up();
	lowest = find_lowest();
	EXPECT(can_set(*(int *)arg));
	child_wait();
	EXPECT_EQ(find_lowest(), lowest);
}

static void child(void *arg)
{
	(void)arg;
	put("/proc/self/oom_score_adj", "900");
	put("/proc/self/coredump_filter", "0x7f");
	child_wait();
	EXPECT_STR(test_slurp("/proc/self/oom_score_adj"), "900\n");
	EXPECT_STR(test_slurp("/proc/self/coredump_filter"), "0000007f\n");
}

int main(int argc, char **argv)
{
	/* So many that what is known of all at once is known of them. */
	static int scores[] = { 500, 700, 1000 };
	enum { COUNT = 20 };
	pid_t pid, pids[COUNT];
	const int count = argc > 1 ? COUNT : 2;

	test_start();
	put("/proc/self/oom_score_adj", "100");
	for (int i = 0; i < count; i++)
		pids[i] = test_fork(raised, &scores[i % 3]);
	pid = test_fork(child, NULL);
	put("/proc/self/oom_score_adj", "321");
	put("/proc/self/coredump_filter", "0x1");
	test_wait();
	EXPECT_STR(test_slurp("/proc/self/oom_score_adj"), "321\n");
	EXPECT_STR(test_slurp("/proc/self/coredump_filter"), "00000001\n");
	test_end_child(pid);
	for (int i = 0; i < count; i++)
		test_end_child(pids[i]);
	return test_pass();
}
