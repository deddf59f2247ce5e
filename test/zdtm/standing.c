/*
 * Where the processes of a pid namespace stand, for a test that does not come to its end: one line each with the call
 * and the kernel function they sleep in and the signals that wait for them.
 */
#include "standing.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first bytes of a file of a process without the line's end; "" if there is none. */
static void slurp(const char *dir, const char *name, char *text, size_t size)
{
	char path[700];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = 0;
	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = 0;
}

static size_t describe_thread(const char *dir, char *text, size_t size)
{
	static const char *const fields[] = { "State",  "Pid",    "NSpid",  "TracerPid",
					      "SigPnd", "ShdPnd", "SigBlk", "SigCgt" };
	char status[8192], comm[32], wchan[128], call[256];
	size_t used;

	slurp(dir, "comm", comm, sizeof(comm));
	slurp(dir, "wchan", wchan, sizeof(wchan));
	slurp(dir, "syscall", call, sizeof(call));
	slurp(dir, "status", status, sizeof(status));
	used = (size_t)snprintf(text, size, "\n\t%s: in %s, call %s", comm, wchan, call);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && used < size; i++) {
		char key[32];
		const char *value;

		snprintf(key, sizeof(key), "\n%s:\t", fields[i]);
		value = strstr(status, key);
		if (value) {
			value += strlen(key);
			used += (size_t)snprintf(text + used, size - used, ", %s %.*s", fields[i],
						 (int)strcspn(value, "\n"), value);
		}
	}
	return used < size ? used : size;
}

static size_t describe_process(const char *dir, char *text, size_t size)
{
	char path[320], thread[600];
	size_t used = 0;
	DIR *threads;

	snprintf(path, sizeof(path), "%s/task", dir);
	threads = opendir(path);
	for (struct dirent *entry; threads && used < size && (entry = readdir(threads));) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(thread, sizeof(thread), "%s/%s", path, entry->d_name);
		used += describe_thread(thread, text + used, size - used);
	}
	if (threads)
		closedir(threads);
	return used;
}

void standing_describe(pid_t init, char *text, size_t size)
{
	char path[32], dir[300], space[64] = "", other[64];
	size_t used = 0;
	DIR *proc = opendir("/proc");

	text[0] = 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", init);
	if (readlink(path, space, sizeof(space) - 1) < 0 || !proc)
		used = size;
	for (struct dirent *entry; used < size && (entry = readdir(proc));) {
		ssize_t n;

		snprintf(dir, sizeof(dir), "/proc/%s/ns/pid", entry->d_name);
		n = isdigit((unsigned char)entry->d_name[0]) ? readlink(dir, other, sizeof(other) - 1) : -1;
		other[n > 0 ? n : 0] = 0;
		if (n <= 0 || strcmp(space, other) != 0)
			continue;
		snprintf(dir, sizeof(dir), "/proc/%.20s", entry->d_name);
		used += describe_process(dir, text + used, size - used);
	}
	if (proc)
		closedir(proc);
}
