#include "calls.h"

#include <dirent.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t event_id;
static char filter[512];

static void add_to_filter(long number)
{
	size_t have = strlen(filter);

	(void)snprintf(filter + have, sizeof(filter) - have, "%sid != %ld", have ? " && " : "", number);
}

bool calls_prepare(const char *dir)
{
	/* The last one is what threads of the load go on with, each once it is restored. */
	static const long left_out[] = { SYS_mmap,   SYS_munmap,    SYS_mprotect,  SYS_madvise,
					 SYS_mlock2, SYS_preadv,    SYS_pwritev,   SYS_process_vm_readv,
					 SYS_mremap, SYS_ftruncate, SYS_fallocate, SYS_pause };
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/events/raw_syscalls/sys_enter/id", dir);
	if (mount("tracefs", dir, "tracefs", 0, NULL) < 0 || !(f = fopen(path, "re")))
		return false;
	if (fscanf(f, "%lu", &event_id) != 1)
		event_id = 0;
	(void)fclose(f);
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		add_to_filter(left_out[i]);
	return event_id != 0;
}

static int open_counter(pid_t tid, bool of_children)
{
	struct perf_event_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.type = PERF_TYPE_TRACEPOINT;
	attr.size = sizeof(attr);
	attr.config = event_id;
	attr.disabled = attr.enable_on_exec = attr.inherit = of_children;
	fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static uint64_t take_count(int fd)
{
	uint64_t count = 0;

	if (fd < 0)
		return 0;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		count = 0;
	(void)close(fd);
	return count;
}

bool calls_count_command(char **argv, uint64_t *ret_calls)
{
	int go[2], counter, status = -1;
	char byte = 0;
	pid_t pid;

	if (pipe(go) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		(void)close(go[1]);
		if (read(go[0], &byte, 1) == 1 && close(go[0]) == 0)
			(void)execv(argv[0], argv);
		_exit(127);
	}
	(void)close(go[0]);
	counter = pid > 0 ? open_counter(pid, true) : -1;
	if (counter >= 0)
		(void)!write(go[1], &byte, 1);
	(void)close(go[1]);
	if (pid > 0)
		(void)waitpid(pid, &status, 0);
	*ret_calls = take_count(counter);
	return counter >= 0 && status == 0;
}

struct calls_of_threads {
	int *counters;
	size_t count, capacity;
};

struct calls_of_threads *calls_watch(pid_t pid)
{
	const struct rlimit many = { 65536, 65536 };
	struct calls_of_threads *watch = calloc(1, sizeof(*watch));
	struct dirent *entry;
	char path[64];
	DIR *dir;

	(void)setrlimit(RLIMIT_NOFILE, &many);
	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (watch && dir && (entry = readdir(dir))) {
		if (*entry->d_name == '.')
			continue;
		if (watch->count == watch->capacity) {
			watch->capacity = 2 * watch->capacity + 16;
			watch->counters = reallocarray(watch->counters, watch->capacity, sizeof(int));
			if (!watch->counters)
				abort();
		}
		watch->counters[watch->count++] = open_counter(atoi(entry->d_name), false);
	}
	if (dir)
		(void)closedir(dir);
	return watch;
}

uint64_t calls_watched(struct calls_of_threads *watch)
{
	uint64_t sum = 0;

	for (size_t i = 0; watch && i < watch->count; i++)
		sum += take_count(watch->counters[i]);
	if (watch)
		free(watch->counters);
	free(watch);
	return sum;
}
