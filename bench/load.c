/*
 * What is checkpointed by the benchmark: a process that becomes large in one respect, says on descriptor 3 that it is
 * ready, closes it and waits.
 *
 *	load idle | tasks N | threads N | files N | shared TASKS N | memory MIB | sparse GIB MIB
 *	load pipes | fifos | events | ghosts | ended | watches | ranges | locks | polled | moved | links | terminals N
 *	load timers | mappings | objects | mapped | zombies | signals N
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load-files.h"

enum { READY_FD = 3 };

void die(const char *what)
{
	perror(what);
	exit(1);
}

static void wait_forever(void)
{
	for (;;)
		(void)pause();
}

static void be_idle(const unsigned long *sizes)
{
}

static void make_tasks(const unsigned long *sizes)
{
	for (unsigned long i = 1; i < sizes[0]; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			(void)close(READY_FD);
			wait_forever();
		}
	}
}

static void *run_thread(void *arg)
{
	wait_forever();
	return NULL;
}

static void make_threads(const unsigned long *sizes)
{
	pthread_attr_t attr;
	pthread_t thread;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 64 * 1024);
	for (unsigned long i = 1; i < sizes[0]; i++) {
		if (pthread_create(&thread, &attr, run_thread, NULL) != 0)
			die("pthread_create");
	}
}

static int open_some_file(unsigned long i)
{
	int ends[2];

	switch (i % 4) {
	case 0:
		return open("/proc/self/exe", O_RDONLY);
	case 1:
		return open("/dev/null", O_RDWR);
	case 2:
		return eventfd((unsigned int)i, 0);
	default:
		/* a pipe counts twice; who calls adds one */
		return pipe(ends) < 0 ? -1 : ends[1];
	}
}

void allow_descriptors(unsigned long count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("getrlimit");
	if (limit.rlim_cur >= count + 16)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("setrlimit");
}

static void open_files(const unsigned long *sizes)
{
	int fd = 0;

	allow_descriptors(sizes[0]);
	for (unsigned long i = 0; fd + 1 < (int)sizes[0]; i++) {
		fd = open_some_file(i);
		if (fd < 0)
			die("open");
	}
}

/* All tasks have the descriptions of the first. */
static void share_files(const unsigned long *sizes)
{
	open_files(&sizes[1]);
	make_tasks(sizes);
}

static char *map_memory(unsigned long bytes)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

/* No two pages are alike and none is zero. */
static void touch(char *from, unsigned long bytes)
{
	for (unsigned long i = 0; i < bytes; i += 64)
		*(uint64_t *)(from + i) = (uint64_t)(uintptr_t)(from + i) | 1;
}

static void fill_memory(const unsigned long *sizes)
{
	touch(map_memory(sizes[0] << 20), sizes[0] << 20);
}

/* sizes[1] MiB in pieces of 1 MiB, spread evenly. */
static void fill_sparsely(const unsigned long *sizes)
{
	char *at = map_memory(sizes[0] << 30);
	unsigned long step = (sizes[0] << 30) / sizes[1];

	for (unsigned long i = 0; i < sizes[1]; i++)
		touch(at + i * step, 1 << 20);
}

static const struct {
	const char *name;
	void (*become)(const unsigned long *sizes);
	int size_count;
} loads[] = {
	{ "idle", be_idle, 0 },
	{ "tasks", make_tasks, 1 },
	{ "threads", make_threads, 1 },
	{ "files", open_files, 1 },
	{ "shared", share_files, 2 },
	{ "memory", fill_memory, 1 },
	{ "sparse", fill_sparsely, 2 },
	{ "pipes", open_pipes, 1 },
	{ "fifos", open_fifos, 1 },
	{ "events", open_events, 1 },
	{ "ghosts", open_ghosts, 1 },
	{ "ended", open_ended, 1 },
	{ "watches", watch_files, 1 },
	{ "ranges", lock_ranges, 1 },
	{ "locks", lock_files, 1 },
	{ "polled", poll_events, 1 },
	{ "moved", poll_moved, 1 },
	{ "links", open_links, 1 },
	{ "terminals", open_terminals, 1 },
	{ "timers", make_timers, 1 },
	{ "mappings", map_pages, 1 },
	{ "objects", map_objects, 1 },
	{ "mapped", map_files, 1 },
	{ "zombies", leave_zombies, 1 },
	{ "signals", queue_signals, 1 },
};

int main(int argc, char **argv)
{
	unsigned long sizes[2] = { 0 };

	for (int i = 2; i < argc && i < 4; i++)
		sizes[i - 2] = strtoul(argv[i], NULL, 10);
	for (size_t i = 0; argc > 1 && i < sizeof(loads) / sizeof(loads[0]); i++) {
		if (strcmp(argv[1], loads[i].name) != 0 || argc != 2 + loads[i].size_count)
			continue;
		(void)setsid();
		(void)close_range(READY_FD + 1, ~0U, 0);
		loads[i].become(sizes);
		if (write(READY_FD, "", 1) != 1)
			die("write");
		(void)close(READY_FD);
		wait_forever();
	}
	(void)fprintf(stderr, "usage: load KIND [NUMBER [NUMBER]], see load.c\n");
	return 2;
}
