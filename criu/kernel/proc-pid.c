/* The way into /proc/PID, and the reading of files that fit a buffer on the stack. */
#include "kernel/proc-pid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"

int proc_open_at(const char *proc_mount, pid_t pid)
{
	char path[256];
	int fd, n;

	if (pid)
		n = snprintf(path, sizeof(path), "%s/%d", proc_mount, pid);
	else
		n = snprintf(path, sizeof(path), "%s/self", proc_mount);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	/* Either the process or the whole mount is missing: only the first is about the process. */
	if (errno == ENOENT && access(proc_mount, F_OK) == 0)
		return -ESRCH;
	return -errno;
}

int proc_open(pid_t pid)
{
	return proc_open_at("/proc", pid);
}

int proc_read_text(int dirfd, const char *path, char *text, size_t capacity)
{
	AUTO_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t bytes = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = TEMP_FAILURE_RETRY(read(fd, text + bytes, capacity - bytes));

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		bytes += (size_t)n;
		if (bytes == capacity)
			return -E2BIG;
		if ((size_t)n < PROC_SHORT_READ)
			break;
	}
	text[bytes] = '\0';
	return (int)bytes;
}
