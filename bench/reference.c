/* Measures the reference work. */
#include "reference.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20, COLD_SECONDS = 3 };

uint64_t bench_now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t reference_start(const char *empty_program)
{
	char *argv[] = { (char *)empty_program, NULL };
	char *no_environment[] = { NULL };
	uint64_t start = bench_now_us();
	int status;
	pid_t pid;

	/* glibc's posix_spawn is a vfork and an exec */
	if (posix_spawn(&pid, empty_program, NULL, NULL, argv, no_environment) != 0)
		return 0;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return 0;
	return bench_now_us() - start;
}

static char *map_anonymous(size_t bytes)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int write_file(int fd, const char *data, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += CHUNK_BYTES) {
		if (pwrite(fd, data + at, CHUNK_BYTES, (off_t)at) != CHUNK_BYTES)
			return -1;
	}
	return 0;
}

static int read_file(int fd, char *data, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += CHUNK_BYTES) {
		if (pread(fd, data + at, CHUNK_BYTES, (off_t)at) != CHUNK_BYTES)
			return -1;
	}
	return 0;
}

static int create_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)unlink(path);
	return fd;
}

uint64_t reference_copy(const char *path, size_t bytes)
{
	char *source = map_anonymous(bytes);
	int fd = create_file(path);
	uint64_t took = 0;

	if (source && fd >= 0) {
		uint64_t start;

		memset(source, 0x5a, bytes);
		make_memory_warm(bytes + bytes / 2);
		start = bench_now_us();
		if (write_file(fd, source, bytes) == 0)
			took = bench_now_us() - start;
	}
	if (fd >= 0)
		(void)close(fd);
	if (source)
		(void)munmap(source, bytes);
	return took;
}

uint64_t reference_read(const char *path, size_t bytes)
{
	char *chunk = calloc(1, CHUNK_BYTES);
	int fd = create_file(path);
	uint64_t took = 0;
	char *destination;
	uint64_t start;

	for (size_t at = 0; chunk && fd >= 0 && at < bytes; at += CHUNK_BYTES) {
		if (pwrite(fd, chunk, CHUNK_BYTES, (off_t)at) != CHUNK_BYTES)
			break;
	}
	make_memory_warm(bytes + bytes / 2);
	start = bench_now_us();
	destination = map_anonymous(bytes);
	if (destination && read_file(fd, destination, bytes) == 0)
		took = bench_now_us() - start;
	if (destination)
		(void)munmap(destination, bytes);
	if (fd >= 0)
		(void)close(fd);
	free(chunk);
	return took;
}

void make_memory_warm(size_t bytes)
{
	char *at = map_anonymous(bytes);

	if (!at)
		return;
	for (size_t i = 0; i < bytes; i += 4096)
		at[i] = 1;
	(void)munmap(at, bytes);
}

void make_memory_cold(void)
{
	(void)sleep(COLD_SECONDS);
}

static int compare_values(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a;
	uint64_t right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

uint64_t median(uint64_t *values, size_t count)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), compare_values);
	return values[count / 2];
}
