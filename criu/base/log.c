#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

static struct {
	int level;
	int fd;
	int task;
	uint64_t start_us;
} log_state = { .level = LOG_WARN, .fd = STDERR_FILENO };

void log_set_level(int level)
{
	log_state.level = level;
}

int log_get_level(void)
{
	return log_state.level;
}

void log_set_fd(int fd)
{
	log_state.fd = fd;
	log_state.start_us = now_us();
}

int log_get_fd(void)
{
	return log_state.fd;
}

void log_move_fd(int fd)
{
	log_state.fd = fd;
}

void log_set_task(int pid)
{
	log_state.task = pid;
}

/* In a user namespace /dev/stderr may be nobody's. Where such a link leads our caller has decided, not its owner. */
static bool leads_to_own_output(int dirfd, const char *name)
{
	char text[32];
	ssize_t bytes = readlinkat(dirfd, name, text, sizeof(text) - 1);

	if (bytes < 0)
		return false;
	text[bytes] = '\0';
	return !strcmp(text, "/proc/self/fd/1") || !strcmp(text, "/proc/self/fd/2");
}

/* Such as /dev/stderr, or what the user has put there himself. */
static bool is_trusted_link(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_uid == 0 || st.st_uid == geteuid());
}

int log_open(int dirfd, const char *name)
{
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(dirfd, name, flags | O_NOFOLLOW, 0600), set;

	if (fd < 0 && errno == ELOOP && (is_trusted_link(dirfd, name) || leads_to_own_output(dirfd, name)))
		fd = openat(dirfd, name, flags, 0600);
	if (fd < 0)
		return -errno;
	/* Only the opening was not to wait. */
	set = fcntl(fd, F_GETFL);
	if (set >= 0)
		(void)fcntl(fd, F_SETFL, set & ~O_NONBLOCK);
	return fd;
}

/* "(SS.UUUUUU) ": twelve columns, from 100 s on the last digits give way. */
static int put_timestamp(char *out, size_t size)
{
	uint64_t since_us = log_state.start_us ? now_us() - log_state.start_us : 0;
	char stamp[32];

	(void)snprintf(stamp, sizeof(stamp), "%02llu.%06llu", (unsigned long long)(since_us / 1000000),
		       (unsigned long long)(since_us % 1000000));
	return snprintf(out, size, "(%.9s) ", stamp);
}

static size_t clamp(int written, size_t size)
{
	if (written < 0)
		return 0;
	return (size_t)written < size ? (size_t)written : size - 1;
}

/*
 * A reader who has left, or RLIMIT_FSIZE, sends a signal besides. In a process that is being restored it is blocked,
 * and would wait there for the program, as if that had written.
 */
static void forget_failed_write(void)
{
	const struct timespec at_once = { 0 };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, errno == EPIPE ? SIGPIPE : SIGXFSZ);
	(void)sigtimedwait(&set, NULL, &at_once);
}

static void write_out(int fd, const char *text, size_t bytes)
{
	if (write(fd, text, bytes) < 0 && (errno == EPIPE || errno == EFBIG))
		forget_failed_write();
}

void log_line(enum log_level level, const char *file, int line, const char *format, ...)
{
	char text[2048];
	size_t used = 0;
	const char *base;
	int saved = errno;
	va_list args;

	if ((int)level > log_state.level)
		return;
	if (level != LOG_MSG && log_state.level >= LOG_INFO)
		used += clamp(put_timestamp(text, sizeof(text)), sizeof(text));
	if (level != LOG_MSG && log_state.task)
		used += clamp(snprintf(text + used, sizeof(text) - used, "%6d: ", log_state.task), sizeof(text) - used);
	base = strrchr(file, '/');
	base = base ? base + 1 : file;
	if (level == LOG_ERROR)
		used += clamp(snprintf(text + used, sizeof(text) - used, "Error (%s:%d): ", base, line),
			      sizeof(text) - used);
	else if (level == LOG_WARN)
		used += clamp(snprintf(text + used, sizeof(text) - used, "Warn  (%s:%d): ", base, line),
			      sizeof(text) - used);
	va_start(args, format);
	used += clamp(vsnprintf(text + used, sizeof(text) - 1 - used, format, args), sizeof(text) - 1 - used);
	va_end(args);
	if (used > 0 && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	make_printable(text);
	text[used++] = '\n';
	write_out(level == LOG_MSG ? STDOUT_FILENO : log_state.fd, text, used);
	errno = saved;
}
