/* The few lines of /proc that explain a refusal or a thread that does not stop. */
#include "internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* PF_IO_WORKER, PF_USER_WORKER */
#define FLAG_IO_WORKER   0x10ul
#define FLAG_USER_WORKER 0x4000ul

static ssize_t read_thread_file(pid_t pid, pid_t tid, const char *name, char *to, size_t bytes)
{
	char path[64];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do
		n = read(fd, to, bytes - 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	else
		to[n] = 0;
	(void)close(fd);
	return n;
}

char proc_thread_state(pid_t pid, pid_t tid)
{
	char stat[512];
	const char *end;

	if (read_thread_file(pid, tid, "stat", stat, sizeof(stat)) <= 0)
		return 0;
	/* The name in parentheses may itself hold parentheses. */
	end = strrchr(stat, ')');
	return end && end[1] == ' ' ? end[2] : 0;
}

bool proc_thread_is_worker(pid_t pid, pid_t tid)
{
	char stat[512];
	const char *end;
	unsigned long flags;

	if (read_thread_file(pid, tid, "stat", stat, sizeof(stat)) <= 0)
		return false;
	end = strrchr(stat, ')');
	return end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 &&
	       flags & (FLAG_IO_WORKER | FLAG_USER_WORKER);
}

int proc_status_number(pid_t pid, pid_t tid, const char *name, long *ret_value)
{
	char status[4096];
	size_t name_bytes = strlen(name);
	const char *line;
	ssize_t n;

	n = read_thread_file(pid, tid, "status", status, sizeof(status));
	if (n < 0)
		return (int)n;
	for (line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, name_bytes) == 0 && line[name_bytes] == ':') {
			*ret_value = strtol(line + name_bytes + 1, NULL, 10);
			return 0;
		}
	}
	return -ENOENT;
}
